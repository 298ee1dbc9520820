"""The settings reference, the engines' matrix and the command line as Sphinx directives, made from the code.

On a MyST page, or as ``.. settings:: Image`` in reStructuredText::

    ```{settings-overview}
    ```
    ```{settings} Image
    ```
    ```{setting} tags
    ```
    ```{engines}
    ```
    ```{dockerfile-rules}
    ```
    ```{advice}
    ```
    ```{flags}
    ```
    ```{facts}
    ```
    ```{methods}
    ```
    ```{command-line}
    ```

and ``{setting}`tags``` anywhere.  Every name a user may type is an object: setting, ``envvar`` and ``option``.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes
from sphinx.errors import ConfigError

from buildpush import __version__
from buildpush.advice import table
from buildpush.advice.row import Advice
from buildpush.dockerfile import rules
from buildpush.dockerfile.rules import BUILDERS_WITHOUT
from buildpush.expressions import builtin, methods
from buildpush.expressions.builtin import BuiltIn
from buildpush.reference import cards
from buildpush.reference.blocks import PROGRAM, OverviewDirective, SettingDirective, SettingsDirective
from buildpush.reference.domain import SettingsDomain, plain_where_not_shown, setting_role
from buildpush.reference.facts import SECTIONS, sources
from buildpush.reference.rendering import Rendering, literals
from buildpush.settings import plugin_variables
from buildpush.settings.plugin_variables import PluginVariable

if TYPE_CHECKING:
    import click
    from docutils.nodes import Node
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.util.typing import ExtensionMetadata


class EnginesDirective(Rendering):
    """``{engines}``: which engine honours what, in its own words."""

    def run(self) -> list[Node]:
        """Return the matrix."""
        self.depend()
        rows = [
            [self.link(name), *(literals([words] if words else []) for words in flags.values())]
            for name, flags in cards.matrix().items()
        ]
        return [self.table(["Setting", *cards.engine_flags()], rows, "engines-matrix")]


class DockerfileRulesDirective(Rendering):
    """``{dockerfile-rules}``: the rules by which a Dockerfile is checked."""

    def run(self) -> list[Node]:
        """Return the table."""
        self.env.note_dependency(str(rules.__file__))
        rows = [
            [
                literals([rule.name]),
                self.prose(rule.sentence),
                self.prose(BUILDERS_WITHOUT.get(rule.needs, "every")),
                _whose(rule),
            ]
            for rule in rules.RULES
        ]
        return [self.table(["Rule", "What it finds", "Engines", "Whose"], rows, "dockerfile-rules")]


def _whose(rule: rules.Rule) -> nodes.paragraph:
    text = "BuildKit" if rule.buildkit else "buildpush"
    return nodes.paragraph(text, text)


class FlagsDirective(Rendering):
    """``{flags}``: the variables of Harness' plugins, and what happens to each; one section for each of the table."""

    def run(self) -> list[Node]:
        """Return the sections."""
        self.depend()
        self.env.note_dependency(str(plugin_variables.__file__))
        return [self._section(title, rows) for title, rows in plugin_variables.SECTIONS.items()]

    def _section(self, title: str, rows: Sequence[PluginVariable]) -> nodes.section:
        anchor = "flags-" + title.lower().replace(" ", "-")
        section = nodes.section(ids=[anchor], names=[anchor])
        section += nodes.title(title, title)
        self.state.document.note_explicit_target(section, section)
        cells = [[literals([row.name]), self.prose(", ".join(row.plugins)), self.prose(row.verdict)] for row in rows]
        section += self.table(["Variable", "Plugins", "Here"], cells, "flags")
        return section


class FactsDirective(Rendering):
    """``{facts}``: the names that are built in, and the sources of their values; a section for each beginning."""

    def run(self) -> list[Node]:
        """Return the sections."""
        self.depend()
        for module in Path(str(builtin.__file__)).parent.glob("*.py"):
            self.env.note_dependency(str(module))
        return [self._section(title, rows) for title, rows in SECTIONS.items()]

    def _section(self, title: str, rows: Mapping[str, BuiltIn]) -> nodes.section:
        anchor = "facts-" + title.lower().replace(" ", "-")
        section = nodes.section(ids=[anchor], names=[anchor])
        section += nodes.title(title, title)
        self.state.document.note_explicit_target(section, section)
        cells = [[literals([name]), self.prose(row.meaning), self.prose(sources(name))] for name, row in rows.items()]
        section += self.table(["Name", "What it stands for", "Who gives it"], cells, "facts")
        return section


class MethodsDirective(Rendering):
    """``{methods}``: what may be called on a value, and the functions."""

    def run(self) -> list[Node]:
        """Return the table."""
        self.env.note_dependency(str(methods.__file__))
        rows = [
            [self.prose(what), literals([f"{name}()" for name in names])] for what, names in methods.METHODS.items()
        ]
        return [self.table(["Of", "Methods"], rows, "methods")]


class AdviceDirective(Rendering):
    """``{advice}``: what messages of builders and registries mean; a section per group, and one per row."""

    def run(self) -> list[Node]:
        """Return the sections."""
        for module in Path(str(table.__file__)).parent.glob("*.py"):
            self.env.note_dependency(str(module))
        return [self._group(name, rows) for name, rows in table.GROUPS.items()]

    def _group(self, name: str, rows: Iterable[Advice]) -> nodes.section:
        anchor = nodes.make_id(name)
        section = nodes.section(ids=[anchor], names=[anchor])
        section += nodes.title(name, name)
        section += [self._row(row) for row in rows]
        return section

    def _row(self, row: Advice) -> nodes.section:
        section = nodes.section(ids=[row.anchor], names=[row.anchor], classes=["advice"])
        section += nodes.title(row.symptom, row.symptom)
        self.state.document.note_explicit_target(section, section)
        if row.examples:
            text = "\n".join(row.examples)
            section += nodes.literal_block(text, text, language="text")
        facts = {"Programs": row.programs, "Cause": row.cause, "What to do": row.fix, "Type": row.type}
        fields = [(nodes.field_name(label, label), _sentence(fact)) for label, fact in facts.items() if fact]
        listed = (nodes.field("", name, nodes.field_body("", fact)) for name, fact in fields)
        section += nodes.field_list("", *listed, classes=["advice-facts"])
        return section


class CommandLineDirective(Rendering):
    """``{command-line}``: every command of the click group that ``buildpush_command_line`` names."""

    def run(self) -> list[Node]:
        """Return one section per command."""
        import click

        module, _, name = str(self.config.buildpush_command_line).partition(":")
        home = import_module(module)
        self.env.note_dependency(str(home.__file__))
        root = getattr(home, name)
        context = click.Context(root, info_name=PROGRAM)
        return [self._section(command, path) for command, path in _commands(root, context)]

    def _section(self, command: click.Command, context: click.Context) -> nodes.section:
        path = context.command_path
        anchor = "command-" + path.removeprefix(f"{PROGRAM} ").replace(" ", "-")
        section = nodes.section(ids=[anchor], names=[anchor], classes=["command"])
        section += nodes.title(path, "", nodes.literal(path, path))
        self.state.document.note_explicit_target(section, section)
        section += map(_paragraph, (command.help or "").split("\n\n"))
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        section += nodes.literal_block(usage, usage, language="text")
        section += self._options(command, path, anchor)
        return section

    def _options(self, command: click.Command, path: str, anchor: str) -> list[Node]:
        """Return the table of a command's own options, and one line for those of settings."""
        import click

        options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
        own = [option for option in options if not _is_setting(option)]
        for flag in (flag for option in own for flag in (*option.opts, *option.secondary_opts)):
            self.env.domains.standard_domain.add_program_option(path, flag, self.env.docname, anchor)
        rows = [[literals(_option_names(option)), _sentence(option.help or "")] for option in own]
        parts: list[Node] = [self.table(["Option", "What it does"], rows, "options")] if rows else []
        if len(own) < len(options):
            parts.append(self.prose("And a flag for every setting, such as {setting}`tags` or {setting}`engine`."))
        return parts


def _is_setting(option: click.Option) -> bool:
    """Return whether an option was made from a setting, which has its own card."""
    return (option.name or "").startswith("setting_")


def _paragraph(text: str) -> nodes.Element:
    """Return a paragraph of a help text; one that click is to leave as it is keeps its lines."""
    if "\b" not in text:
        return _sentence(" ".join(text.split()))
    lines = textwrap.dedent(text.replace("\b\n", "\n").replace("\b", "")).strip("\n")
    return nodes.literal_block(lines, lines, language="text")


def _sentence(text: str) -> nodes.paragraph:
    """Return a sentence of a help text; flags in it are code, since dashes in prose become typographic ones."""
    paragraph = nodes.paragraph()
    for part in re.split(r"(--[\w-]+)", text):
        paragraph += nodes.literal(part, part) if part.startswith("--") else nodes.Text(part)
    return paragraph


def _option_names(option: click.Option) -> list[str]:
    value = "" if option.is_flag or option.count else f" {option.metavar or option.type.name.upper()}"
    return [f"{flag}{value}" for flag in (*option.opts, *option.secondary_opts)]


def _commands(group: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every command below *group* with its context, groups themselves left out."""
    import click

    if not isinstance(group, click.Group):
        yield group, context
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield from _commands(command, click.Context(command, info_name=name, parent=context))


DATA: Final[Mapping[str, Callable[[], Any]]] = {
    "settings.json": lambda: [card.as_json() for card in cards.cards()],
    "step.schema.json": lambda: cards.schema("step"),
    "settings.schema.json": lambda: cards.schema("project"),
}


def check_configuration(_app: Sphinx, config: Config) -> None:
    """Stop for a file that is not made here.

    Raises:
        ConfigError: one is listed; the message names those that are.
    """
    if unknown := [name for name in config.buildpush_write if name not in DATA]:
        message = f"buildpush_write lists {', '.join(unknown)}; the files it can list are {', '.join(DATA)}"
        raise ConfigError(message)


def write_data(app: Sphinx, exception: Exception | None) -> None:
    """Write the files of ``buildpush_write`` beside the pages: the cards as JSON for programs, schemas for editors.

    A file that is newer than all code stays: to make it takes longer than to write a page again. The time of a change
    counts as well, since installers may keep the time that code was written.
    """
    if exception is not None or app.builder.format != "html":
        return
    newest = max(max(code.st_mtime, code.st_ctime) for code in map(Path.stat, CODE.rglob("*.py")))
    for path in (Path(app.outdir) / name for name in app.config.buildpush_write):
        if not path.exists() or path.stat().st_mtime <= newest:
            path.write_text(json.dumps(DATA[path.name](), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


CODE: Final = Path(__file__).parent.parent


STYLE: Final = Path(__file__).parent / "static" / "buildpush-settings.css"


def add_style(_app: Sphinx, config: Config) -> None:
    """Have the style of the cards copied with those of the project."""
    config.html_static_path.append(str(STYLE.parent))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register everything with Sphinx."""
    app.setup_extension("sphinx_design")
    app.add_config_value("buildpush_command_line", "buildpush.cli:group", "env", str)
    app.add_config_value("buildpush_write", [], "html", (list, tuple))
    app.add_domain(SettingsDomain)
    app.add_role("setting", setting_role)
    app.add_directive("settings", SettingsDirective)
    app.add_directive("setting", SettingDirective)
    app.add_directive("settings-overview", OverviewDirective)
    app.add_directive("engines", EnginesDirective)
    app.add_directive("dockerfile-rules", DockerfileRulesDirective)
    app.add_directive("advice", AdviceDirective)
    app.add_directive("flags", FlagsDirective)
    app.add_directive("facts", FactsDirective)
    app.add_directive("methods", MethodsDirective)
    app.add_directive("command-line", CommandLineDirective)
    app.add_css_file(STYLE.name)
    app.connect("config-inited", check_configuration)
    app.connect("config-inited", add_style)
    # After intersphinx, which may know a site with the card.
    app.connect("missing-reference", plain_where_not_shown, priority=900)
    app.connect("build-finished", write_data)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True, "env_version": 1}
