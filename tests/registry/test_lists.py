"""Lists of referrers as a registry gives them: by itself in pages, under a tag, hidden, or as something else."""

from __future__ import annotations

import json

import pytest

from buildpush.foundation.errors import AuthenticationError, PushError
from buildpush.http.client import Answer
from buildpush.images.model import OCI_INDEX, OCI_MANIFEST
from buildpush.images.references import Digest, Repository, Tag
from buildpush.images.referrers import list_tag
from buildpush.registry.referrers import _pull_tag, find_digests, read_list

HERE = Repository("r.example", "team/app")
SUBJECT = Digest(f"sha256:{'a' * 64}")
PATH, TAG = f"referrers/{SUBJECT}", f"manifests/{list_tag(SUBJECT)}"
LIST = f"the list of referrers of {HERE}@{SUBJECT}"


def entry(mark: str) -> dict:
    return {"mediaType": OCI_MANIFEST, "digest": f"sha256:{mark * 64}", "size": 2}


def page(*marks: str, link: str = "", kind: str = OCI_INDEX, status: int = 200) -> Answer:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry(mark) for mark in marks]}
    headers = {"Content-Type": kind} | ({"Link": link} if link else {})
    return Answer(status, headers, json.dumps(document).encode(), "u")


def no(status: int) -> Answer:
    return Answer(status, {}, b"", "u")


class Lists:
    """A registry with answers by path; keeps what it was asked and told."""

    def __init__(self, **answers) -> None:
        self.answers = {PATH: answers.pop("itself", no(404)), TAG: answers.pop("tag", no(404)), **answers}
        self.asked, self.notes = [], []

    def request(self, repository, method, path, **more):
        assert (repository, method, more.pop("actions")) == (HERE, "GET", "pull")
        if path in {PATH, TAG}:
            assert more == {"headers": {"Accept": OCI_INDEX}}
        self.asked.append(path)
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def resolve_location(self, repository, answer, location):
        return location if "://" in location else f"https://r.example{location}"

    def base(self, host):
        return f"https://{host}"

    def note_once(self, key, text):
        self.notes.append((key, text))


def found(registry) -> str:
    """Return the marks of the digests that refer to the subject."""
    return "".join(digest.hex[0] for digest in find_digests(SUBJECT, HERE, registry))


@pytest.mark.parametrize(
    "link", ['</next>; rel="next"', "</next>;rel=next", '</first>; rel="first", </next> ; a=b; rel="next"; c=d']
)
def test_a_list_goes_on_at_the_next_page(link):
    registry = Lists(itself=page("b", "c", link=link), **{"https://r.example/next": page("d")})
    assert found(registry) == "bcd"
    assert registry.asked == [PATH, "https://r.example/next"]


@pytest.mark.parametrize("link", ['</next>; rel="prev"', "/next; rel=next", '</a>, </b>; title="next"'])
def test_a_link_to_something_else_ends_the_list(link):
    assert found(Lists(itself=page("b", link=link))) == "b"


def test_a_list_that_goes_on_elsewhere_is_not_followed():
    registry = Lists(itself=page("b", link='<https://r.example:444/next>; rel="next"'))
    with pytest.raises(PushError, match=f"^{LIST} continues at another host"):
        found(registry)


def test_a_list_without_an_end_is_read_for_a_hundred_pages():
    registry = Lists(itself=page("b", link=f"</v2/{PATH}>; rel=next"))
    registry.answers[f"https://r.example/v2/{PATH}"] = registry.answers[PATH]
    with pytest.raises(PushError, match=f"^{LIST} does not end: 100 pages were read"):
        found(registry)
    assert len(registry.asked) == 100


@pytest.mark.parametrize("status", [400, 404, 405, 406, 401, 403])
def test_a_registry_that_gives_no_list_is_asked_for_the_tag(status):
    registry = Lists(itself=no(status), tag=page("b"))
    assert found(registry) == "b"
    assert registry.asked == [PATH, TAG]
    assert registry.notes == []


@pytest.mark.parametrize("kind", ["text/html", "application/json", ""])
def test_a_page_for_people_is_no_list(kind):
    assert found(Lists(itself=page("c", kind=kind), tag=page("b"))) == "b"


def test_the_type_of_a_list_may_have_parameters():
    assert found(Lists(itself=page("c", kind=f"{OCI_INDEX} ; charset=utf-8"), tag=page("b"))) == "c"


def test_who_is_not_let_in_is_asked_for_the_tag_and_told_where_that_is_hidden_too():
    hidden = AuthenticationError("who are you")
    assert found(Lists(itself=hidden, tag=page("b"))) == "b"
    registry = Lists(itself=hidden, tag=hidden)
    assert found(registry) == ""
    [(key, text)] = registry.notes
    assert key == ("referrers", HERE)
    assert text.startswith(f"{HERE.tagged(Tag(list_tag(SUBJECT)))} may not be read, which some registries answer for ")


@pytest.mark.parametrize("status", [500, 503, 301])
def test_a_list_that_fails_is_an_error_that_names_it(status):
    with pytest.raises(PushError, match=f"^{LIST} .*status {status}"):
        found(Lists(itself=no(status)))


def test_a_page_that_is_missing_in_the_middle_is_an_error():
    registry = Lists(itself=page("b", link="</next>; rel=next"), **{"https://r.example/next": no(404)})
    with pytest.raises(PushError, match=f"^{LIST} .*status 404"):
        found(registry)


@pytest.mark.parametrize(("answer", "read"), [(no(404), []), (no(401), None), (no(403), None), (page("b"), "b")])
def test_a_list_under_a_tag_is_read_missing_or_hidden(answer, read):
    name = HERE.tagged(Tag(list_tag(SUBJECT)))
    assert read_list(name, Lists(tag=answer)) == ([entry(read)] if read else read)


def test_an_image_under_the_tag_of_a_list_is_none():
    name = HERE.tagged(Tag(list_tag(SUBJECT)))
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": entry("c"), "layers": []}
    answer = Answer(200, {}, json.dumps(document).encode(), "u")
    with pytest.raises(PushError, match=f"^the list of referrers {name} is an image, not a list"):
        read_list(name, Lists(tag=answer))


@pytest.mark.parametrize(("status", "notes"), [(404, 0), (401, 1), (403, 1)])
def test_a_signature_under_a_tag_may_be_missing_or_hidden(status, notes):
    registry = Lists()
    registry.request = lambda *_, **__: no(status)
    assert _pull_tag(HERE.tagged(Tag("sha256-a.sig")), registry) is None
    assert len(registry.notes) == notes


def test_a_signature_that_fails_is_an_error():
    registry = Lists()
    registry.request = lambda *_, **__: no(500)
    with pytest.raises(PushError, match="status 500"):
        _pull_tag(HERE.tagged(Tag("sha256-a.sig")), registry)
