from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import zlib
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
import sphinx.ext.intersphinx  # noqa: F401 - a library below it opens a socket at import, which fast tests may not
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from buildpush.advice.table import ROWS
from buildpush.expressions.builtin import BUILT_IN
from buildpush.reference import cards
from buildpush.reference.cards import card_named
from buildpush.reference.domain import owner
from buildpush.reference.markup import tabs
from buildpush.reference.sphinx import write_data
from buildpush.settings.plugin_variables import PLUGIN_VARIABLES

CONF = 'extensions = ["buildpush.sphinx_ext", "myst_parser"]\nhtml_theme = "basic"\nproject = "x"\n'
CONF += 'buildpush_write = ["settings.json", "step.schema.json", "settings.schema.json"]\n'
INDEX = """# Index

```{toctree}
settings
prose
```
"""
SETTINGS = """# Settings

```{settings-overview}
```
## Image

```{settings} Image
```
## Registry

```{settings} Registry
```
## Push

```{settings} Push
```
"""
PROSE = """# Prose

{setting}`tags`, {buildpush:setting}`the repository <repo>`, {any}`compression`.
{envvar}`PLUGIN_TAG`, {option}`buildpush --tags`, {ref}`setting-tags`.
"""
PAGES = {"index": INDEX, "settings": SETTINGS, "prose": PROSE}


MATRIX = "# Prose\n\n```{engines}\n```\n```{dockerfile-rules}\n```\n```{command-line}\n```\n```{flags}\n```\n"
NAMES = "# Names\n\n```{facts}\n```\n```{methods}\n```\n"
TROUBLE = "# Trouble\n\n```{advice}\n```\n"


def build(directory, builder="html", **pages):
    """Build pages in this process; return the app and its warnings."""
    source = directory / "source"
    source.mkdir(exist_ok=True)
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    for name, text in pages.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    warnings = StringIO()
    places = (source, source, directory / builder, directory / "doctrees")
    with docutils_namespace():
        app = Sphinx(*places, builder, {"nitpicky": True}, status=None, warning=warnings)
        app.build()
    return app, warnings.getvalue()


@pytest.fixture
def site(tmp_path):
    return partial(build, tmp_path)


def whole(directory, builder="html", **pages):
    """Build the page with the cards of all groups, and others."""
    groups = "\n".join(
        f"## {step} {group}\n\n```{{settings}} {group}\n:step: {step}\n```\n" for step, group in cards.groups()
    )
    settings = f"# Settings\n\n```{{settings-overview}}\n```\n\n{groups}"
    return build(directory, builder, settings=settings, **pages)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return one site with everything on it."""
    index = INDEX.replace("prose", "prose\nmatrix\ntrouble\nnames")
    return whole(tmp_path_factory.mktemp("site"), index=index, prose=PROSE, matrix=MATRIX, trouble=TROUBLE, names=NAMES)


def test_cards_overview_and_references_build_without_a_warning(built):
    app, warnings = built
    assert warnings == ""
    prose = (app.outdir / "prose.html").read_text(encoding="utf-8")
    for anchor in ("setting-tags", "setting-repo", "setting-compression"):
        assert f'href="settings.html#{anchor}"' in prose


def test_every_variable_of_the_plugins_is_on_the_page_with_its_verdict(built):
    app, _ = built
    page = (app.outdir / "matrix.html").read_text(encoding="utf-8")
    rows = dict(re.findall(r"<tr[^>]*>\s*<td>.*?>([A-Z0-9_]{6,})<.*?</td>(.*?)</tr>", page, re.S))
    assert rows.keys() >= PLUGIN_VARIABLES.keys()
    for row in PLUGIN_VARIABLES.values():
        assert ", ".join(row.plugins) in rows[row.name]
        anchor = card_named(row.setting).anchor if row.setting else ""
        assert f'href="settings.html#{anchor}"' in rows[row.name] or not anchor


def test_every_name_that_is_built_in_is_there_with_who_gives_it(built):
    app, _ = built
    page = (app.outdir / "names.html").read_text(encoding="utf-8")
    rows = dict(re.findall(r"<tr[^>]*>\s*<td>.*?>([a-z]+(?:\.\w+)+)<.*?</td>(.*?)</tr>", page, re.S))
    assert rows.keys() >= BUILT_IN.keys()
    assert "GitHub Actions by" in rows["codebase.prNumber"]
    assert "CI_MERGE_REQUEST_IID" in rows["codebase.prNumber"]
    assert "only" in rows["account.companyName"]
    for name in ("substring()", "regex.extract()", "getOrDefault()"):
        assert name in page


def inventory(app):
    """Return address by kind and name of everything that other sites can link to."""
    packed = (app.outdir / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = (line.split(" ") for line in zlib.decompress(packed).decode().splitlines())
    return {(kind, name): address.replace("$", name) for name, kind, _, address, *_ in entries}


def test_every_name_a_user_may_type_is_in_the_inventory(built):
    app, _ = built
    known = inventory(app)
    for card in cards.cards():
        assert known["buildpush:setting", card.name] == f"settings.html#{card.anchor}"
        for flag in card.flags:
            assert known["std:cmdoption", f"buildpush.{flag}"] == f"settings.html#{card.anchor}"
        for variable in card.variables:
            assert known["std:envvar", variable] == f"settings.html#{card_named(owner(variable)).anchor}"
        assert known["std:label", card.anchor] == f"settings.html#{card.anchor}"


def test_every_row_of_advice_has_its_place_on_the_page_and_its_fix(built):
    app, _ = built
    page = html.unescape((app.outdir / "trouble.html").read_text(encoding="utf-8"))
    for row in ROWS:
        assert f'id="{row.anchor}"' in page
        assert row.symptom in page
        assert inventory(app)["std:label", row.anchor] == f"trouble.html#{row.anchor}"


def test_cards_render_as_plain_text_too(tmp_path):
    """They are nodes, not HTML."""
    app, warnings = whole(tmp_path, "text", index=INDEX, prose=PROSE)
    text = (app.outdir / "settings.txt").read_text(encoding="utf-8")
    assert "Tags of the pushed image." in text
    assert "PLUGIN_TAGS" in text
    assert warnings == ""


def test_an_unknown_group_is_an_error_that_names_the_known_ones(site):
    _, warnings = site(index="# Index\n\n```{settings} Imag\n```\n")
    assert "no settings of step 'build' in group 'Imag'; the groups are Step, Image" in warnings


def test_an_unknown_setting_is_a_warning(site):
    _, warnings = site(index="# Index\n\n{setting}`tagz` and {any}`tagz`\n")
    assert "setting reference target not found: tagz" in warnings


def test_in_a_card_of_the_publish_step_names_mean_its_own_settings(built):
    app, _ = built
    tree = app.env.get_doctree("settings")
    (card,) = [section for section in tree.findall(nodes.section) if "setting-publish-password" in section["ids"]]
    app.env.resolve_references(card, "settings", app.builder)
    links = [node["refid"] for node in card.findall(nodes.reference) if "refid" in node]
    assert links == ["setting-publish-username"]


def test_a_page_that_loses_its_cards_loses_its_objects(site):
    site(index=INDEX, settings=SETTINGS, prose="# Prose\n")
    app, warnings = site(settings="# Settings\n", prose="# Prose\n\n{setting}`tags`\n")
    assert "tags" not in app.env.get_domain("buildpush").settings
    assert "not found: tags" in warnings


def test_pages_depend_on_the_files_that_cards_are_made_from(site):
    app, _ = site(index=INDEX, settings=SETTINGS, prose="# Prose\n")
    depended = {Path(app.srcdir, path).resolve().name for path in app.env.dependencies["settings"]}
    assert {"model.py", "cards.py", "sphinx.py"} <= depended
    assert not app.env.dependencies.get("prose")


def test_the_engines_matrix_shows_each_engines_own_words(built):
    app, _ = built
    page = (app.outdir / "matrix.html").read_text(encoding="utf-8")
    for engine, words in card_named("build_args").engines.items():
        assert engine in page
        assert words in page


def test_the_command_line_is_shown_command_by_command_with_links_to_settings(built):
    app, _ = built
    page = (app.outdir / "matrix.html").read_text(encoding="utf-8")
    for anchor in ("command-run", "command-build-info-publish", "command-schema"):
        assert f'id="{anchor}"' in page
    assert 'href="settings.html#setting-tags"' in page
    assert "--digest-file" in page


def test_cards_and_schemas_lie_beside_the_pages(site):
    app, _ = site(index="# Index\n")
    beside = json.loads((app.outdir / "settings.json").read_text(encoding="utf-8"))
    assert [card["name"] for card in beside] == [card.name for card in cards.cards()]
    for name in ("settings.schema.json", "step.schema.json"):
        assert "$schema" in json.loads((app.outdir / name).read_text(encoding="utf-8"))


def test_a_file_for_programs_is_written_again_when_the_code_is_newer(built):
    app, _ = built
    file = app.outdir / "settings.json"
    file.write_text("as it was", encoding="utf-8")
    write_data(app, None)
    assert file.read_text(encoding="utf-8") == "as it was"
    os.utime(file, (0, 0))
    write_data(app, None)
    assert json.loads(file.read_text(encoding="utf-8"))


def test_a_variable_leads_to_the_setting_it_belongs_to_before_any_that_borrow_it():
    assert owner("PLUGIN_TAG") == "tags"
    assert owner("PLUGIN_BUILD_NAME") == "build_name"
    assert owner("PLUGIN_ACCESS_TOKEN") == "publish.access_token"


def test_tabs_are_in_step_over_the_whole_page():
    text = tabs(card_named("tags").examples)
    assert ":sync-group: surface" in text
    assert [line for line in text.splitlines() if line.startswith(":sync: ")] == [
        ":sync: yaml",
        ":sync: variables",
        ":sync: flags",
        ":sync: python",
        ":sync: buildpush.yaml",
        ":sync: pyproject.toml",
    ]


@pytest.mark.programs
def test_two_processes_build_what_one_builds(built, tmp_path):
    app, _ = built
    options = ["-W", "-n", "-E", "-q", "-j", "2", "-b", "html"]
    again = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, app.srcdir, tmp_path / "two"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "two" / "objects.inv").read_bytes() == (app.outdir / "objects.inv").read_bytes()


def test_situations_stand_below_the_example_which_is_left_out_where_one_is_the_same(built):
    app, _ = built
    page = html.unescape((app.outdir / "settings.html").read_text(encoding="utf-8"))

    def tab_sets(anchor):
        return page.partition(f'id="{anchor}"')[2].partition("</section>")[0].count('class="sd-tab-set')

    assert tab_sets("setting-tags") == 1 + len(card_named("tags").situations)
    assert tab_sets("setting-platforms") == len(card_named("platforms").situations) == 1
    assert '<p class="setting-situation">Two platforms</p>' in page
