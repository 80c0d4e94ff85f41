"""Renders for the tests, each in a child process as in production."""

from pathlib import Path

from engine.lib import pdf


def render(argument, channel):
    rendered = pdf.render(
        argument["html"],
        {name: text.encode() for name, text in argument.get("assets", {}).items()},
        Path(argument["out"]),
        channel.progress,
        limits=pdf.Limits(**argument.get("limits", {})),
        about_pages=argument.get("about_pages", 1),
        on_warning=channel.log,
        tagged=argument.get("tagged", False),
    )
    return [rendered.pages, rendered.bytes, rendered.sha256]


def every_step(argument, channel):
    """Return the progress as the renderer tells it, before the channel thins it out."""
    steps = []
    pdf.render(
        argument["html"],
        {},
        Path(argument["out"]),
        lambda percent, note: steps.append([percent, note]),
        about_pages=argument["about_pages"],
    )
    return steps
