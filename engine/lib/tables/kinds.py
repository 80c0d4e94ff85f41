"""Which files are tables, by their names."""

from pathlib import PurePath

from engine.lib.tables.shape import refuse

KINDS = {".csv": "csv", ".tsv": "csv", ".xlsx": "xlsx"}
"""Kind of table by the ending of a file's name."""


def kind_of(filename: str) -> str:
    """Return the kind of table a file's name promises; raise InvalidInput for other endings."""
    ending = PurePath(filename).suffix.lower()
    if ending == ".xls":
        raise refuse("This is the old Excel format. Save it as .xlsx or .csv.")
    if ending not in KINDS:
        raise refuse("Only .csv, .tsv and .xlsx files can be read.")
    return KINDS[ending]
