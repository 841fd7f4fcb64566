"""A logger."""


class Lines:
    """A line a step, in the run's folder."""

    def __init__(self, folder, step: int) -> None:
        self.file = open(folder / "lines.txt", "a")

    def write(self, rows):
        for row in rows:
            self.file.write(f"{row['step']} {row['loss']:.4f}\n")

    def close(self):
        self.file.close()
