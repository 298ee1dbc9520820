"""A site: a directory with a pipeline file that is run against a sandbox."""

from __future__ import annotations

from buildpush.cli import run_command


class Site:
    """A directory with a Dockerfile, a pipeline file, and the sandbox's login in the variables of a step.

    A subclass has ``step``, which returns a step of the file.
    """

    dockerfile = "FROM scratch\nCOPY a /a\n"

    def __init__(self, directory, box, monkeypatch):
        self.directory, self.box = directory, box
        (directory / "Dockerfile").write_text(self.dockerfile)
        (directory / "a").write_text("hello")
        known = {"USERNAME": box.username, "PASSWORD": box.password.reveal(), "REGISTRY": box.host, "ENGINE": "native"}
        for name, value in known.items():
            monkeypatch.setenv(f"PLUGIN_{name}", value)
        monkeypatch.chdir(directory)

    def write(self, *steps):
        (self.directory / "p.yml").write_text("".join(steps))

    def run(self, *words):
        return run_command(["run", "p.yml", *words])

    @property
    def tags(self):
        return sorted(self.box.tags("docker-local/app"))
