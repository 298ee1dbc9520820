"""Settings as objects that Sphinx knows: pages link to their cards by ``{setting}`tags```."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sphinx.domains import Domain, ObjType
from sphinx.roles import XRefRole
from sphinx.util.nodes import make_refnode
from typing_extensions import override

from buildpush.reference import cards

if TYPE_CHECKING:
    from docutils import nodes
    from docutils.nodes import Element, Node, system_message
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.builders import Builder
    from sphinx.environment import BuildEnvironment

DOMAIN = "buildpush"
# Inside a card, plain names in its prose mean settings of the same step.
STEP: Final = "buildpush:step"
# Text that comes from the code, in which a link may lead to a card that the project does not show.
OURS: Final = "buildpush:ours"


class SettingRole(XRefRole):
    """``{setting}`tags```; inside a card, names of the same step come first."""

    def process_link(
        self, env: BuildEnvironment, refnode: Element, has_explicit_title: bool, title: str, target: str
    ) -> tuple[str, str]:
        """Remember which step the card with the reference is for, and whose words these are."""
        refnode[STEP] = env.ref_context.get(STEP, "build")
        refnode[OURS] = env.ref_context.get(OURS, False)
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
        near = f"{node.get(STEP)}.{target}"
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


def plain_where_not_shown(_app: Sphinx, _env: BuildEnvironment, node: pending_xref, content: Element) -> Element | None:
    """Return the text of a link in words of ours to a card that the project does not show, in place of a warning."""
    return content if node.get(OURS) else None


def owner(variable: str) -> str:
    """Return the name of the card that a variable leads to: that of its main setting, else the first that has it."""
    matches = [card for card in cards.cards() if variable in card.variables]
    return min(matches, key=lambda card: (card.variables[0] != variable, card.step != "build")).name
