"""The settings reference, the engines' matrix and the command line as Sphinx directives, made from the code.

On a MyST page::

    ```{settings-overview}
    ```
    ```{settings} Image
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.domains import Domain, ObjType
from sphinx.roles import XRefRole
from sphinx.util.nodes import make_refnode
from typing_extensions import override

from buildpush import __version__
from buildpush.advice import table
from buildpush.advice.row import Advice
from buildpush.dockerfile import rules
from buildpush.dockerfile.rules import BUILDERS_WITHOUT
from buildpush.expressions import builtin, methods
from buildpush.expressions.builtin import BuiltIn
from buildpush.reference import cards
from buildpush.reference.cards import Card
from buildpush.reference.facts import SECTIONS, sources
from buildpush.reference.rendering import Rendering, literals, marked
from buildpush.settings import plugin_variables
from buildpush.settings.plugin_variables import PluginVariable
from buildpush.settings.stepkinds import STEP_KINDS

if TYPE_CHECKING:
    import click
    from docutils.nodes import Element, Node, system_message
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.builders import Builder
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata

DOMAIN = "buildpush"
PROGRAM = "buildpush"
# Inside a card, plain names in its prose mean settings of the same step.
_STEP = "buildpush:step"


class SettingRole(XRefRole):
    """``{setting}`tags```; inside a card, names of the same step come first."""

    def process_link(
        self, env: BuildEnvironment, refnode: Element, has_explicit_title: bool, title: str, target: str
    ) -> tuple[str, str]:
        """Remember which step the card with the reference is for."""
        refnode[_STEP] = env.ref_context.get(_STEP, "build")
        return super().process_link(env, refnode, has_explicit_title, title, target)


def setting_role(_name: str, *rest: Any) -> tuple[list[Node], list[system_message]]:
    """Do what ``{buildpush:setting}`` does, under a shorter name."""
    return SettingRole()(f"{DOMAIN}:setting", *rest)


class SettingsDomain(Domain):
    """The page of every setting's card."""

    name = DOMAIN
    label = "buildpush"
    object_types: ClassVar[dict[str, ObjType]] = {"setting": ObjType("setting", "setting")}
    roles: ClassVar[dict[str, Any]] = {"setting": SettingRole()}
    initial_data: ClassVar[dict[str, Any]] = {"settings": {}}
    data_version = 1

    @property
    def settings(self) -> dict[str, tuple[str, str]]:
        """Page and anchor of every setting."""
        settings: dict[str, tuple[str, str]] = self.data["settings"]
        return settings

    def clear_doc(self, docname: str) -> None:
        """Forget what was on a page that is read again."""
        for name in [name for name, (page, _) in self.settings.items() if page == docname]:
            del self.settings[name]

    def merge_domaindata(self, docnames: AbstractSet[str], otherdata: dict[str, Any]) -> None:
        """Take over what another process has read."""
        self.settings.update({name: place for name, place in otherdata["settings"].items() if place[0] in docnames})

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """Yield every setting, as important for the search."""
        for name, (page, anchor) in self.settings.items():
            yield name, name, "setting", page, anchor, 0

    @override
    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: pending_xref,
        contnode: Element,
    ) -> nodes.reference | None:
        """Return the link to a card; with ``None``, Sphinx warns."""
        del env, typ
        near = f"{node.get(_STEP)}.{target}"
        place = self.settings.get(near) or self.settings.get(target)
        return make_refnode(builder, fromdocname, *place, contnode) if place else None

    @override
    def resolve_any_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        target: str,
        node: pending_xref,
        contnode: Element,
    ) -> list[tuple[str, nodes.reference]]:
        """Return the link to a card for ``{any}``."""
        link = self.resolve_xref(env, fromdocname, builder, "setting", target, node, contnode)
        return [(f"{DOMAIN}:setting", link)] if link else []


class SettingsDirective(Rendering):
    """``{settings} GROUP``: the cards of one group; ``:step: publish`` for the publish step."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {"step": lambda word: directives.choice(word, tuple(STEP_KINDS))}

    def run(self) -> list[Node]:
        """Return one section per setting of the group."""
        self.depend()
        group, step = self.arguments[0], self.options.get("step", "build")
        chosen = [card for card in cards.cards() if (card.step, card.group) == (step, group)]
        if not chosen:
            known = ", ".join(name for of, name in cards.groups() if of == step)
            message = f"no settings of step {step!r} in group {group!r}; the groups are {known}"
            raise self.error(message)
        return [self._section(card) for card in chosen]

    def _section(self, card: Card) -> nodes.section:
        short = card.name.rpartition(".")[2]
        section = nodes.section(ids=[card.anchor], names=[card.anchor], classes=["setting"])
        section += nodes.title(short, "", nodes.literal(short, short))
        self.state.document.note_explicit_target(section, section)
        self._note(card, section)
        outer = self.env.ref_context.get(_STEP)
        self.env.ref_context[_STEP] = card.step
        section += self._body(card)
        self.env.ref_context[_STEP] = outer or "build"
        return section

    def _body(self, card: Card) -> list[Node]:
        sentence = self.prose(card.sentence)
        sentence["classes"].append("setting-sentence")
        text = self.parse_text_to_nodes(card.text) if card.text else []
        examples = self.parse_text_to_nodes(tabs(card)) if card.examples else []
        return [sentence, self._facts(card), *text, *examples]

    def _facts(self, card: Card) -> nodes.field_list:
        listed = nodes.field_list(classes=["setting-facts"])
        for heading, entries in cards.FACTS.items():
            fact = marked(entries(card), nodes.make_id(heading))
            listed += nodes.field("", nodes.field_name(heading, heading), nodes.field_body("", fact))
        return listed

    def _note(self, card: Card, section: nodes.section) -> None:
        """Make every name of the setting an object: for links, the search and other sites."""
        page = self.env.docname
        domain = self.env.get_domain(DOMAIN)
        if not isinstance(domain, SettingsDomain):
            raise TypeError
        domain.settings[card.name] = (page, card.anchor)
        standard = self.env.domains.standard_domain
        for variable in card.variables:
            if owner(variable) == card.name:
                standard.note_object("envvar", variable, card.anchor, location=section)
        for flag in card.flags:
            standard.add_program_option(PROGRAM, flag, page, card.anchor)


def owner(variable: str) -> str:
    """Return the name of the card that a variable leads to: that of its main setting, else the first that has it."""
    matches = [card for card in cards.cards() if variable in card.variables]
    return min(matches, key=lambda card: (card.variables[0] != variable, card.step != "build")).name


_LANGUAGES = {"YAML": "yaml", "Variables": "sh", "Flags": "sh", "Python": "python"}


def tabs(card: Card) -> str:
    """Return the examples of a card as MyST text: one tab per surface, in sync with all others of the page."""
    inner = [
        f"````{{tab-item}} {surface}\n:sync: {surface.lower()}\n\n```{_LANGUAGES[surface]}\n{text}\n```\n````"
        for surface, text in card.examples.items()
    ]
    return "\n".join(["`````{tab-set}", ":sync-group: surface", "", *inner, "`````"])


def _engines(card: Card) -> nodes.paragraph:
    """Return which engines honour a setting, in a word or two."""
    if card.engines:
        return literals(card.engines)
    words = {"nothing yet": "refused", "nothing": "no effect", "the engine": "none yet"}
    text = words.get(card.honoured_by.partition(":")[0], "every")
    return nodes.paragraph(text, text)


class OverviewDirective(Rendering):
    """``{settings-overview}``: every setting on one screen."""

    def run(self) -> list[Node]:
        """Return the table."""
        self.depend()
        rows = [
            [self.link(card.name), self.prose(card.sentence), marked(cards.FACTS["Default"](card)), _engines(card)]
            for card in sorted(cards.cards(), key=lambda card: card.group == "Step")
        ]
        return [self.table(["Setting", "What it is", "Default", "Engines"], rows, "settings-overview")]


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
        for paragraph in (command.help or "").split("\n\n"):
            section += _sentence(" ".join(paragraph.replace("\b", "").split()))
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


def write_data(app: Sphinx, exception: Exception | None) -> None:
    """Write the cards as JSON and the schemas beside the pages, for programs and editors."""
    if exception is not None or app.builder.format != "html":
        return
    documents = {
        "settings.json": [card.as_json() for card in cards.cards()],
        "step.schema.json": cards.schema("step"),
        "settings.schema.json": cards.schema("project"),
    }
    for name, document in documents.items():
        text = json.dumps(document, indent=1, ensure_ascii=False)
        (Path(app.outdir) / name).write_text(text + "\n", encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register everything with Sphinx."""
    app.setup_extension("sphinx_design")
    app.add_config_value("buildpush_command_line", "buildpush.cli:group", "env", str)
    app.add_domain(SettingsDomain)
    app.add_role("setting", setting_role)
    app.add_directive("settings", SettingsDirective)
    app.add_directive("settings-overview", OverviewDirective)
    app.add_directive("engines", EnginesDirective)
    app.add_directive("dockerfile-rules", DockerfileRulesDirective)
    app.add_directive("advice", AdviceDirective)
    app.add_directive("flags", FlagsDirective)
    app.add_directive("facts", FactsDirective)
    app.add_directive("methods", MethodsDirective)
    app.add_directive("command-line", CommandLineDirective)
    app.connect("build-finished", write_data)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True, "env_version": 1}
