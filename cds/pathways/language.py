"""The language of what pathways say: English in the code, other languages in catalogues beside it (GNU gettext).

A catalogue is `locale/<language>/LC_MESSAGES/pathways.po`; Babel reads it, nothing is compiled into the repository. A
sentence that a catalogue lacks stays English: half of an advice in a language that was not reviewed is worse than that.
"""

from __future__ import annotations

import functools
import gettext
from importlib import resources
from io import BytesIO

ENGLISH = "en"
_CATALOGUE = "locale/{language}/LC_MESSAGES/pathways.po"


def say(language: str, text: str, /, **values: object) -> str:
    """A sentence in a language, with its values put in: `text` is the English one, with {names} for the values."""
    told = text if language == ENGLISH else _catalogue(language).gettext(text)
    return told.format_map(values) if values else told


def languages() -> tuple[str, ...]:
    """English, and every language that there is a catalogue for."""
    folder = resources.files(__package__) / "locale"
    found = [one.name for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []
    return (ENGLISH, *sorted(found))


@functools.cache
def _catalogue(language: str) -> gettext.NullTranslations:
    """The catalogue of a language; one that says nothing for a language that there is none for."""
    path = resources.files(__package__) / _CATALOGUE.format(language=language)
    if language not in languages():
        return gettext.NullTranslations()
    # Imported late: only a site that reads another language than English needs it.
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with path.open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
