"""Cards of settings as Sphinx directives: of a group, of one setting, and the overview of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives

from buildpush.foundation.spelling import did_you_mean
from buildpush.reference import cards
from buildpush.reference.cards import Card
from buildpush.reference.domain import DOMAIN, STEP, SettingsDomain, owner
from buildpush.reference.markup import tabs, tabs_in_rst
from buildpush.reference.rendering import Rendering, literals, marked
from buildpush.settings.stepkinds import STEP_KINDS

if TYPE_CHECKING:
    from docutils.nodes import Node

PROGRAM = "buildpush"


class CardRendering(Rendering):
    """What the directives of cards share: the body of a card, and its names as objects."""

    def body(self, card: Card) -> list[Node]:
        """Return what stands below the heading of a card."""
        outer = self.env.ref_context.get(STEP)
        self.env.ref_context[STEP] = card.step
        sentence = self.prose(card.sentence)
        sentence["classes"].append("setting-sentence")
        parts = [sentence, _facts(card), *self.parsed(card.text), *self._examples(card)]
        self.env.ref_context[STEP] = outer or "build"
        return parts

    def _examples(self, card: Card) -> list[Node]:
        write = tabs_in_rst if self.is_rst else tabs
        is_plain = card.examples and card.examples not in dict(card.situations).values()
        parts = self.parse_text_to_nodes(write(card.examples)) if is_plain else []
        for title, examples in card.situations:
            parts += [nodes.paragraph(title, title, classes=["setting-situation"])]
            parts += self.parse_text_to_nodes(write(examples))
        return parts

    def note(self, card: Card, heading: nodes.Element) -> None:
        """Make every name of the setting an object: for links, the search and other sites."""
        self.state.document.note_explicit_target(heading, heading)
        page = self.env.docname
        domain = self.env.get_domain(DOMAIN)
        if not isinstance(domain, SettingsDomain):
            raise TypeError
        domain.settings.update(dict.fromkeys((card.name, *card.renamed), (page, card.anchor)))
        standard = self.env.domains.standard_domain
        for variable in card.variables:
            if owner(variable) == card.name:
                standard.note_object("envvar", variable, card.anchor, location=heading)
        for flag in card.flags:
            standard.add_program_option(PROGRAM, flag, page, card.anchor)


def _anchors(card: Card) -> list[str]:
    return [card.anchor, *card.former_anchors]


def _facts(card: Card) -> nodes.field_list:
    """Return the lines of a card: its spellings, its type, and who honours it."""
    listed = nodes.field_list(classes=["setting-facts"])
    for heading, entries in cards.facts(card):
        fact = marked(entries, nodes.make_id(heading))
        listed += nodes.field("", nodes.field_name(heading, heading), nodes.field_body("", fact))
    return listed


class SettingsDirective(CardRendering):
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
        section = nodes.section(ids=_anchors(card), names=_anchors(card), classes=["setting"])
        section += nodes.title(short, "", nodes.literal(short, short))
        self.note(card, section)
        section += self.body(card)
        return section


class SettingDirective(CardRendering):
    """``{setting} NAME``: the card of one setting, anywhere, also in a note.

    With ``:no-index:``, links go to another card of the setting.
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"no-index": directives.flag}

    def run(self) -> list[Node]:
        """Return the card in a frame of its own."""
        self.depend()
        card = self._card()
        heading = nodes.rubric("", "", nodes.literal(card.name, card.name))
        if "no-index" not in self.options:
            heading["ids"], heading["names"] = _anchors(card), _anchors(card)
            self.note(card, heading)
        return [nodes.container("", heading, *self.body(card), classes=["setting"])]

    def _card(self) -> Card:
        name = self.arguments[0]
        try:
            return cards.card_named(name)
        except KeyError:
            hint = did_you_mean(name, [card.name for card in cards.cards()])
            message = f"there is no setting {name!r}; {hint or 'the directive settings-overview lists all'}"
            raise self.error(message) from None


def _engines(card: Card) -> list[Node]:
    """Return which engines honour a setting, unless it is honoured with every one."""
    words = {
        "nothing yet": "Refused: nothing acts on it yet",
        "nothing": "Without effect",
        "the engine": "No engine yet",
    }
    text = words.get(card.honoured_by.partition(":")[0], "")
    entries = literals(card.engines) if card.engines else nodes.paragraph(text, text)
    entries["classes"].append("engines")
    return [entries] if card.engines or text else []


class OverviewDirective(Rendering):
    """``{settings-overview}``: every setting on one screen.

    With ``:anchors:``, each row has the anchor of its card, for links to a time when the cards stood on this page.
    """

    option_spec: ClassVar[dict[str, Any]] = {"anchors": directives.flag}

    def run(self) -> list[Node]:
        """Return the table."""
        self.depend()
        rows = [self._row(card) for card in sorted(cards.cards(), key=lambda card: card.group == "Step")]
        return [self.table(["Setting", "What it is", "Default"], rows, "settings-overview")]

    def _row(self, card: Card) -> list[Node]:
        link = self.link(card.name)
        if "anchors" in self.options:
            link["ids"] += _anchors(card)
        what = nodes.container("", self.prose(card.sentence), *_engines(card))
        return [link, what, marked(cards.FACTS["Default"](card))]
