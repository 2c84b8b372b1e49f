"""Trials that several workers share by way of a storage, with Optuna. Imported only when there is something to search.

A worker that dies leaves a trial behind that is running in the storage for ever. So workers give signs of life while
they train; a trial without any for a while counts as failed, and whoever looks next queues its values again.
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections import Counter

import numpy as np
import optuna
import sqlalchemy
from optuna.trial import TrialState

from brian_qif.protocols.search_space import Choice, Range
from brian_qif.training.checkpoints import refuse_other_settings

_RETRIES = 3
_ATTEMPTS = 5
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_PATIENCE = 5.0  # seconds that the maker of a study may take to say what it is for


class Surplus(Exception):
    """A trial beyond the wanted number, which two workers began at the same time."""


def open_storage(storage, heartbeat):
    """Optuna's storage behind an address.

    Parameters
    ----------
    storage : str or optuna.storages.BaseStorage
        The URL of a database as SQLAlchemy knows it, such as ``sqlite:///study.db``; or a storage, taken as it is.
    heartbeat : int
        Seconds between two signs of life. Three times as long without one, and a trial has failed.

    Returns
    -------
    optuna.storages.BaseStorage

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    if isinstance(storage, optuna.storages.BaseStorage):
        return storage
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    arguments = {"connect_args": {"timeout": 100}} if storage.startswith("sqlite") else {}
    try:
        shown = sqlalchemy.engine.make_url(storage).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        raise OSError(
            f"The storage '{storage}' is no address of a database; give one such as sqlite:///study.db or"
            " postgresql://user@host/name."
        ) from None
    for attempt in range(_ATTEMPTS):
        try:
            with without_experimental_warnings():
                return optuna.storages.RDBStorage(
                    storage,
                    engine_kwargs=arguments,
                    heartbeat_interval=heartbeat,
                    grace_period=3 * heartbeat,
                    heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=_RETRIES),
                )
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, RuntimeError) as error:
            # Workers that make the tables of a new database at the same time hinder each other once.
            if attempt == _ATTEMPTS - 1 or isinstance(error, (ImportError, sqlalchemy.exc.NoSuchModuleError)):
                reason = str(getattr(error, "orig", None) or error).splitlines()[0]
                raise OSError(f"The storage '{shown}' cannot be opened: {reason}") from error
            time.sleep(0.5)


def open_study(storage, name, settings, start, epochs, seed):
    """Make a study, or join the one of this name.

    Parameters
    ----------
    storage : optuna.storages.BaseStorage
        From `open_storage`.
    name : str
        The name of the study.
    settings : dict
        What makes trials comparable. A study that was made with other settings is refused.
    start : dict
        The values of the first trial.
    epochs : int
        The length of a trial. From the second epoch on, trials below the median of the others are given up.
    seed : int
        Decides the values that are tried.

    Returns
    -------
    optuna.Study

    Raises
    ------
    ValueError
        If the study has other settings; the message names them.
    """
    arguments = {
        "storage": storage,
        "sampler": _Sampler(seed),
        "pruner": optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=min(2, epochs)),
        "study_name": name,
    }
    try:
        study = optuna.create_study(direction="maximize", **arguments)
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(**arguments)
        kept, waited = study.user_attrs.get("settings"), 0.0
        while kept is None and waited < _PATIENCE:
            time.sleep(0.1)
            kept, waited = study.user_attrs.get("settings"), waited + 0.1
        if kept is not None:
            refuse_other_settings(kept, settings, f"study {name}")
            return study
    study.set_user_attr("settings", settings)
    study.enqueue_trial(start, skip_if_exists=True)
    return study


def suggest(trial, space):
    """Values for a trial.

    Parameters
    ----------
    trial : optuna.Trial
        The trial.
    space : dict of str to Range or Choice
        From `search_space`.

    Returns
    -------
    dict
    """
    values = {}
    for name, limits in space.items():
        if isinstance(limits, Choice):
            values[name] = trial.suggest_categorical(name, list(limits.values))
        elif isinstance(limits, Range) and type(limits.low) is type(limits.high) is int:
            values[name] = trial.suggest_int(name, limits.low, limits.high, log=limits.log)
        else:
            values[name] = trial.suggest_float(name, limits.low, limits.high, log=limits.log)
    return values


def carry_out(study, storage, objective, total, after_trial):
    """Run trials until a number of them is finished, counting those of all workers.

    A worker that finds nothing left to begin waits for the others, and takes over what one of them leaves behind.

    Parameters
    ----------
    study : optuna.Study
        From `open_study`.
    storage : optuna.storages.BaseStorage
        That of the study, from `open_storage`.
    objective : callable
        Of a trial; it gives the value to be maximised, or raises ``optuna.TrialPruned``.
    total : int
        The number of trials that are to be complete or pruned at the end.
    after_trial : callable
        Is given the study and the frozen trial when one of this worker's has finished.
    """
    # Without signs of life nobody knows whether a trial that somebody else began will ever end.
    heartbeat = getattr(storage, "heartbeat_interval", None)
    watched = None if heartbeat is None else _Unbegun(3 * heartbeat)

    wrong = []

    def guarded(trial):
        if heartbeat is not None:
            number = storage.get_study_id_from_name(study.study_name)
            storage.record_heartbeat(storage.get_trial_id_from_study_id_trial_number(number, trial.number))
        trial.set_user_attr("begun", trial.number)
        trial.set_user_attr("worker", f"{platform.node()}:{os.getpid()}")
        earlier = [one for one in study.get_trials(deepcopy=False) if one.number < trial.number]
        if sum(one.state != TrialState.FAIL for one in earlier) >= total:
            raise Surplus
        try:
            return objective(trial)
        except (optuna.TrialPruned, optuna.exceptions.UpdateFinishedTrialError):
            raise
        except BaseException as error:
            wrong.append(error)
            raise

    def finished(study, trial):
        if trial.state in _FINISHED:
            after_trial(study, trial)

    while True:
        if heartbeat is not None:
            with without_experimental_warnings():
                optuna.storages.fail_stale_trials(study)
            watched.fail_dead(study)
        states = Counter(trial.state for trial in study.get_trials(deepcopy=False))
        done = sum(states[state] for state in _FINISHED)
        if done >= total:
            return
        if states[TrialState.WAITING] or done + states[TrialState.RUNNING] < total:
            _one_trial(study, guarded, finished, wrong)
        elif heartbeat is not None:
            time.sleep(min(1.0, heartbeat / 2))
        else:
            return


def _one_trial(study, objective, finished, wrong):
    try:
        with without_experimental_warnings():
            study.optimize(objective, n_trials=1, catch=(Surplus,), callbacks=[finished])
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError, AssertionError):
        # Optuna's answers where this worker was stopped for so long that another one took the trial for dead; what the
        # objective itself raised goes on.
        if wrong:
            raise wrong[0] from None


class _Unbegun:
    """Trials whose worker died before it could give a sign of life, which no heartbeat finds."""

    def __init__(self, grace):
        self._grace, self._since = grace, {}

    def fail_dead(self, study):
        now = time.monotonic()
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get("begun") == trial.number:
                continue
            if now - self._since.setdefault(trial.number, now) > self._grace:
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


class _Sampler(optuna.samplers.BaseSampler):
    """A tree-structured Parzen estimator with random numbers that belong to the trial.

    So two workers never draw alike, and a study that was interrupted draws what it would have drawn.
    """

    def __init__(self, seed):
        self._seed, self._sampler = seed, None

    def before_trial(self, study, trial):
        own = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
        with without_experimental_warnings():
            self._sampler = optuna.samplers.TPESampler(seed=own, multivariate=True, constant_liar=True)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study, trial):
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study, trial, search_space):
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study, trial, state, values):
        self._sampler.after_trial(study, trial, state, values)


class without_experimental_warnings(warnings.catch_warnings):
    """Heartbeats are called experimental by Optuna; users of a command need not hear of it."""

    def __enter__(self):
        entered = super().__enter__()
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return entered
