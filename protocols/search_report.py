"""What a search leaves behind: the table of its trials, the best configuration, and pictures."""

from __future__ import annotations

import warnings
from collections import Counter

import optuna
import pandas as pd
from optuna.trial import TrialState

from brian_qif.files import write_atomically, write_json
from brian_qif.plotting.studies import draw_importance, draw_parallel, draw_slices
from brian_qif.protocols.search_study import without_experimental_warnings

NOTES = (
    "outcome",
    "epochs",
    "validation_accuracy",
    "validation_loss",
    "train_accuracy",
    "silent_share_hidden",
    "rate_hidden_hertz",
    "seconds_per_epoch",
    "worker",
)


def write_report(study, folder, settings, synthetic, chance):
    """Write trials.csv, best.json, search.json and the pictures for which there are enough trials.

    Parameters
    ----------
    study : optuna.Study
        The study.
    folder : pathlib.Path
        Where to.
    settings : dict
        What makes its trials comparable.
    synthetic : bool
        Whether nobody spoke the data.
    chance : float
        The accuracy of always saying the commonest class.

    Returns
    -------
    dict
        What search.json holds.
    """
    table, space = trial_table(study), list(settings["space"])
    write_atomically(folder / "trials.csv", table.to_csv(index=False).encode())
    files = ["trials.csv", "search.json"]
    sound = table[(table["state"] == "complete") & table["outcome"].isna()]
    best = None
    if len(sound):
        row = sound.loc[sound["validation_accuracy"].idxmax()]
        best = {"number": int(row["number"]), "validation_accuracy": float(row["validation_accuracy"])}
        best["recipe"] = study.get_trials(deepcopy=False)[best["number"]].user_attrs["recipe"]
        write_json(folder / "best.json", best["recipe"])
        files.append("best.json")
    importance = importances(study, space)
    title = f"{study.study_name}, {len(sound)} complete trials" + (", SYNTHETIC speech" if synthetic else "")
    if importance:
        draw_importance(importance, folder / "importance.png", title)
        files.append("importance.png")
    if len(sound) > 1:
        log = [name for name in space if "log=True" in settings["space"][name]]
        draw_slices(sound, space, "validation_accuracy", log, folder / "slices.png", title)
        draw_parallel(sound, space, "validation_accuracy", log, folder / "parallel.png", title)
        files += ["slices.png", "parallel.png"]
    found = {
        "settings": settings,
        "synthetic": synthetic,
        "chance": chance,
        "trials": dict(Counter(table["outcome"].fillna(table["state"]))),
        "best": best,
        "importance": importance,
        "folder": str(folder),
        "files": files,
    }
    write_json(folder / "search.json", found)
    return found


def trial_table(study):
    """The trials of a study.

    Parameters
    ----------
    study : optuna.Study
        The study.

    Returns
    -------
    pandas.DataFrame
        A row per trial, failed ones included; the values tried follow the outcomes.
    """
    rows = []
    for trial in study.get_trials(deepcopy=False):
        with without_experimental_warnings():
            retried = optuna.storages.RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)
        seconds = None if trial.duration is None else trial.duration.total_seconds()
        known = {**trial.user_attrs, **trial.user_attrs.get("notes", {})}
        notes = {name: known.get(name) for name in NOTES}
        begun = {"number": trial.number, "state": trial.state.name.lower(), "retry_of": retried, "seconds": seconds}
        rows.append({**begun, **notes, **trial.params})
    return pd.DataFrame(rows)


def importances(study, names):
    """How much of what makes a trial good is due to each value: PED-ANOVA.

    Parameters
    ----------
    study : optuna.Study
        The study.
    names : list of str
        The values that were tried.

    Returns
    -------
    dict of str to float
        Shares by name, the largest first; empty where the complete trials are too few or too much alike for it.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 10 or len({trial.value for trial in complete}) < 2:
        return {}
    varied = [name for name in names if len({trial.params[name] for trial in complete}) > 1]
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Target and region quantiles select the same set of trials")
        try:
            return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, params=varied))
        except UserWarning:
            return {}  # so many trials have the same value that the best of them cannot be told from the others
