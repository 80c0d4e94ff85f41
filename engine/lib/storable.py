"""Text that came from anywhere, made fit to be stored and sent."""


def storable(text: str) -> str:
    """Replace by `?` what is no Unicode text: half a surrogate pair, as in undecodable file names.

    Databases and JSON answers refuse such text (Unicode 16.0, section 3.9, D92: it has no UTF-8 form), and an
    outcome that cannot be written would leave its task running.
    """
    return text.encode("utf-8", "replace").decode()
