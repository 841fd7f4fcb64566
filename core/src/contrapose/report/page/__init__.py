"""The parts of ``report.html``: what it says, made in Python, and what it does, in plain JavaScript beside it."""
