"""Write verbs, one module per kind of record; `db` is the door to the database."""

from engine.records import lean as lean  # before anything here imports sqlite-utils
