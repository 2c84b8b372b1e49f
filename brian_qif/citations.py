"""How to cite the package and the work that it builds on; the same as in the file CITATION.cff."""

from __future__ import annotations

from dataclasses import dataclass

from brian_qif._version import __version__


@dataclass(frozen=True)
class Work:
    """One work to cite. ``authors`` are pairs of family name and given names, the latter empty for a group."""

    key: str
    kind: str
    title: str
    authors: tuple[tuple[str, str], ...]
    year: int | None = None
    journal: str = ""
    volume: int | None = None
    doi: str = ""
    url: str = ""
    version: str = ""

    def text(self) -> str:
        """One line."""
        names = [f"{family}, {given}" if given else family for family, given in self.authors]
        place = f"{self.journal} {self.volume}" if self.journal else f"Version {self.version}" if self.version else ""
        link = f"https://doi.org/{self.doi}" if self.doi else self.url
        parts = ["; ".join(names), str(self.year or ""), self.title, place, link]
        return ". ".join(part.rstrip(".") for part in parts if part) + "."

    def bibtex(self) -> str:
        """One entry."""
        # Braces keep a group's name whole, and the capitals of a title.
        authors = " and ".join(f"{family}, {given}" if given else f"{{{family}}}" for family, given in self.authors)
        fields = {"title": f"{{{self.title}}}", "author": authors, "year": self.year, "journal": self.journal}
        fields |= {"volume": self.volume, "doi": self.doi, "url": self.url, "version": self.version}
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


WORKS = (
    Work(
        key="brian_qif",
        kind="software",
        title="brian_qif: exact spike-time gradients for spiking networks written in Brian2",
        authors=(("The brian_qif developers", ""),),
        version=__version__,
    ),
    Work(
        key="wenig2026quadratic",
        kind="misc",
        title="Quadratic integrate-and-fire neurons exhibit less fragmented loss landscapes and outperform leaky "
        "integrate-and-fire neurons in spike-based gradient descent",
        authors=(("Wenig", "Carlo"), ("Memmesheimer", "Raoul-Martin"), ("Klos", "Christian")),
        year=2026,
        url="https://arxiv.org/abs/2606.03935",
    ),
    Work(
        key="klos2023smooth",
        kind="misc",
        title="Smooth exact gradient descent learning in spiking neural networks",
        authors=(("Klos", "Christian"), ("Memmesheimer", "Raoul-Martin")),
        year=2023,
        url="https://arxiv.org/abs/2309.14523",
    ),
    Work(
        key="stimberg2019brian",
        kind="article",
        title="Brian 2, an intuitive and efficient neural simulator",
        authors=(("Stimberg", "Marcel"), ("Brette", "Romain"), ("Goodman", "Dan F. M.")),
        year=2019,
        journal="eLife",
        volume=8,
        doi="10.7554/eLife.47314",
    ),
)


def cite(form: str = "text") -> str:
    """What to cite: the package, the study that it reproduces, and the work that both build on.

    Parameters
    ----------
    form : "text" or "bibtex"

    Returns
    -------
    str
        One line per work, or one BibTeX entry.

    Raises
    ------
    ValueError
        For another form.

    Examples
    --------
    >>> import brian_qif
    >>> print(brian_qif.cite("bibtex").splitlines()[0])
    @software{brian_qif,
    """
    if form not in ("text", "bibtex"):
        raise ValueError(f"form is 'text' or 'bibtex'; {form!r} was given.")
    if form == "text":
        return "\n".join(work.text() for work in WORKS)
    return "\n\n".join(work.bibtex() for work in WORKS)
