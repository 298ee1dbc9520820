"""Every row of the expression language: what it gives, and what it refuses."""

from __future__ import annotations

import contextlib
import string
import time
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildpush.expressions.evaluate import AbsentError, escape, evaluate, parse
from buildpush.foundation.errors import ExpressionError, SecretError
from buildpush.foundation.secrets import Secret


class Known:
    """A few names, as Facts would know them."""

    values: ClassVar = {
        "pipeline": {"name": "Site", "sequenceId": 42, "variables": {"x-y": "dash", "a": "A", "key": "a"}},
        "codebase": {"branch": "feature/Fast-Lane", "tag": ""},
        "env": {"PORT": "8080", "YES": "true"},
        "matrix": {"items": ["one", "two"], "service": {"name": "api", "size": 3}},
        "flag": True,
        "ratio": 1.5,
    }
    optional: ClassVar = {("trigger", "branch"), ("trigger", "payload")}

    def __init__(self, given=None):
        self.inputs = given or {}

    def lookup(self, path):
        if path in self.optional:
            message = "it has no value"
            raise AbsentError(message)
        value = self.values
        for key in path:
            if not isinstance(value, dict) or key not in value:
                message = f"unknown name {'.'.join(path)}"
                raise ExpressionError(message)
            value = value[key]
        return value

    def secret(self, identifier):
        if identifier != "token":
            message = f"no secret {identifier!r}"
            raise SecretError(message)
        return Secret("s3cret-value", "env:BUILDPUSH_SECRET_TOKEN")

    def given(self, field):
        return self.inputs.get(field)

    def ask(self, field, limits):
        return self.inputs.get(f"typed for {field}{limits}")

    def if_absent(self, error):
        raise error


def answer(text, **inputs):
    return evaluate(text, Known(inputs), field="tags")


def refused(text, **inputs):
    with pytest.raises((ExpressionError, SecretError)) as caught:
        answer(text, **inputs)
    return caught.value


TEXT = {
    "plain": "plain",
    "": "",
    "<+pipeline.name>": "Site",
    "v<+pipeline.sequenceId>-rc": "v42-rc",
    "<+pipeline.name>/<+pipeline.sequenceId>": "Site/42",
    r"\<+pipeline.name>": "<+pipeline.name>",
    r"\\<+pipeline.name>": "\\Site",
    r"C:\path": r"C:\path",
    "<+ pipeline . name >": "Site",
    "<+pipeline.variables['x-y']>": "dash",
    '<+pipeline.variables.get("x-y")>': "dash",
    '<+pipeline.variables."x-y">': "dash",
    "<+pipeline.variables.<+pipeline.variables.key>>": "A",
    '<+codebase.branch.replace("/", "-")>': "feature-Fast-Lane",
    "<+codebase.branch.toLowerCase()>": "feature/fast-lane",
    '<+codebase.branch.split("/")[1]>': "Fast-Lane",
    r"<+'a.b.c'.split('\\.')[2]>": "c",
    r"<+'a.b.c'.split('\.')[2]>": "c",
    "<+'production'.substring(0,3)>": "pro",
    "<+'production'.substring(7)>": "ion",
    "<+'abc'.charAt(1)>": "b",
    "<+'abc'.concat('d')>": "abcd",
    "<+'aXbX'.replaceAll('[X]','-')>": "a-b-",
    "<+'aXbX'.replaceFirst('X','$0$0')>": "aXXbX",
    "<+'john smith'.replaceAll('(?<first>\\w+) (\\w+)','$2 ${first}')>": "smith john",
    "<+' x '.trim()>": "x",
    "<+'x' + 1 + 2>": "x12",
    '<+"<+codebase.branch>".concat("!")>': "feature/Fast-Lane!",
    "<+<+pipeline.sequenceId>.toString()>": "42",
    '<+<+pipeline.sequenceId> + "-rc">': "42-rc",
    '<+pipeline.name=="Site"?"yes":"no">': "yes",
    '<+pipeline.name == "x" ? "yes" : flag ? "nested" : "no">': "nested",
    '<+trigger.branch ?? "none">': "none",
    '<+codebase.tag ?: "untagged">': "untagged",
    '<+codebase.tag ?? "untagged">': "",
    "<+trigger?.branch ?? 'none'>": "none",
    "<+matrix.items[0]>-<+matrix.items[1]>": "one-two",
    "<+matrix.service.name>": "api",
    "<+matrix.items.join('+')>": "one+two",
    "<+'a\\n\\t\\u0041'>": "a\n\tA",
    "<+`${pipeline.name}-${pipeline.sequenceId + 1}`>": "Site-43",
    '<+json.select("a.b[1]", \'{"a":{"b":[1,"two"]}}\')>': "two",
    '<+json.select(\'$.a["b c"]\', \'{"a":{"b c":"x"}}\')>': "x",
    "<+json.format({a: [1, true, null]})>": '{"a":[1,true,null]}',
    "<+regex.extract('[0-9]*', 'build-3935-0.rpm')>": "3935",
    "<+regex.extract('v([0-9]+)', codebase.branch) ?? 'none'>": "none",
    "<+regex.replace('/.*', '!', codebase.branch)>": "feature!",
    "<+'  x '.stripLeading()>|<+'  x '.stripTrailing()>": "x |  x",
    "<+'feature/x'.subSequence(0, 7)>": "feature",
    "<+json.object('{\"a\":\"b\"}').getOrDefault('c', 'none')>": "none",
    "list <+json.list('a', '{\"a\":[1,2]}')>": "list [1,2]",
    '<+json.object(\'{"a":"b"}\').a>': "b",
    "a > b <+pipeline.name> c": "a > b Site c",
}

VALUES = {
    "<+regex.match('Lane$', codebase.branch)>": True,
    "<+regex.match('lane$', codebase.branch)>": False,
    "<+'b'.compareTo('a')>": 1,
    "<+'abc'.compareTo('ab')>": 1,
    "<+'A'.compareToIgnoreCase('a')>": 0,
    "<+'a.b.c'.lastIndexOf('.', 2)>": 1,
    "<+'a.b.c'.lastIndexOf('.')>": 3,
    "<+'a'.lastIndexOf('a', 0 - 1)>": -1,
    "<+matrix.service.containsValue('api')>": True,
    "<+pipeline.sequenceId>": 42,
    "<+pipeline.sequenceId + 1>": 43,
    "<+1 + 2 * 3 - 4>": 3,
    "<+(1 + 2) * 3>": 9,
    "<+10 - 2 - 3>": 5,
    "<+7 / 2>": 3,
    "<+-7 / 2>": -3,
    "<+-7 % 3>": -1,
    "<+7.0 / 2>": 3.5,
    "<+7 div 2>": 3,
    "<+7 mod 2>": 1,
    "<+env.PORT + ''>": "8080",
    "<+env.PORT * 2>": 16160,
    "<+'abc'.length()>": 3,
    "<+size(matrix.items)>": 2,
    "<+size 'abc'>": 3,
    "<+empty codebase.tag>": True,
    "<+empty(trigger.branch)>": True,
    "<+not empty pipeline.name>": True,
    "<+matrix.items.size()>": 2,
    "<+matrix.items.contains('two')>": True,
    "<+1..3>": [1, 2, 3],
    "<+3..1>": [3, 2, 1],
    "<+2 in 1..3>": True,
    "<+'x' in ['y', 'z']>": False,
    "<+'a' in {a: 1}>": True,
    "<+['a'] in {a: 1}>": False,
    "<+{a: 1}.containsKey(['a'])>": False,
    "<+true == {}>": False,
    "<+[] != false>": True,
    "<+'true' == true>": True,
    "<+['a', 'b'][1]>": "b",
    "<+{a: {b: 2}}.a.b>": 2,
    "<+<+pipeline.name> == 'Site' && <+codebase.branch> != 'main'>": True,
    "<+pipeline.name eq 'Site' and codebase.branch ne 'main'>": True,
    "<+false or not flag>": False,
    "<+!flag || true>": True,
    "<+env.YES ? 1 : 2>": 1,
    "<+pipeline.sequenceId gt 41>": True,
    "<+(pipeline.sequenceId > 41)>": True,
    "<+(pipeline.sequenceId >= 43)>": False,
    "<+pipeline.sequenceId < 43>": True,
    "<+env.PORT le 8080>": True,
    "<+env.PORT == 8080>": True,
    "<+'8080' == '8080.0'>": False,
    "<+codebase.branch =~ 'feature/.*'>": True,
    "<+codebase.branch =~ 'feature'>": False,
    "<+codebase.branch !~ 'main'>": True,
    "<+codebase.branch =^ 'feature/'>": True,
    "<+codebase.branch !^ 'fix/'>": True,
    "<+codebase.branch =$ 'Lane'>": True,
    "<+codebase.branch !$ 'Lane'>": False,
    "<+'a' =~ ['a', 'b']>": True,
    "<+'abc'.indexOf('c')>": 2,
    "<+'abc'.indexOf('x')>": -1,
    "<+'abca'.lastIndexOf('a')>": 3,
    "<+'abc'.startsWith('b', 1)>": True,
    "<+'abc'.matches('[a-c]+')>": True,
    "<+'ABC'.equalsIgnoreCase('abc')>": True,
    "<+'1'.equals(1)>": False,
    "<+true == 'true'>": True,
    "<+null == trigger?.branch>": True,
    "<+trigger?.branch?.length() ?? 0>": 0,
    "<+'a,b,,'.split(',')>": ["a", "b"],
    "<+'a,b,,'.split(',', -1)>": ["a", "b", "", ""],
    "<+'a,b,c'.split(',', 2)>": ["a", "b,c"],
    "<+'abc'.split('')>": ["a", "b", "c"],
    "<+'abc'.split(',')>": ["abc"],
    "<+'12' == 12.0>": True,
    "<+1.5e1 - ratio>": 13.5,
}

REFUSED = {
    "<+pipeline.nme>": "column 3",
    "ab <+pipeline.name.toLowercase()>": "toLowercase",
    "<+>": "there is nothing between",
    "<+ >": "there is nothing between",
    "<+pipeline.name": "needs '>'",
    "<+pipeline.name ": "the text ends here",
    "<+'abc>": "has no end",
    "<+a.>": "name is missing",
    "<+(1>": "a value is missing",
    "<+(1] 2)>": "the parenthesis at column 3 needs ')', but ']' is here",
    "<+1 ? 2 : 3>": "must be true or false, not a number",
    "<+[1>": "value is missing",
    "<+{a}>": "needs ':'",
    "<+1 +>": "a value is missing",
    "<+flag ? 1>": "needs ':'",
    "<+and>": "a value is missing before 'and'",
    "<+a = b>": "unexpected",
    "<+a & b>": "unexpected",
    "<+pipeline.sequenceId > 0>": "ends the expression here",
    '<+<+pipeline.sequenceId> > 0 ? "a" : "b">': "ends the expression here",
    "<+pipeline.name ? 1 : 2>": "must be true or false",
    "<+'production'.substring(0,99)>": "substring(0,99) is outside a text of 10",
    "<+'production'.substring(5,2)>": "outside",
    "<+'abc'.charAt(3)>": "outside",
    "<+'abc'.getClass()>": "no method 'getClass'",
    "<+pipeline.sequenceId.concat('x')>": "has no method 'concat'",
    "<+'a'.concat()>": "needs 1 arguments",
    "<+'a'.concat(1)>": "must be a text",
    "<+'a'.matches('[')>": "is not a pattern",
    "<+'a'.matches('[a&&[b]]')>": "is not a pattern",
    "<+'a'.matches('(a+){,9}')>": "not a Java pattern",
    "<+'a'.matches('(?P<a>a)(?P=a)')>": "not a Java pattern",
    "<+'a'.matches('(a+)+')>": "repeats something that repeats",
    "<+'a'.matches('(a|a)*b')>": "repeats something that repeats",
    "<+'a'.matches('(\\.?a*)*b')>": "repeats something that repeats",
    "<+'a'.replaceAll('a','$3')>": "no group",
    "<+'a'.replaceAll('a','$')>": "must be followed by a group",
    "<+1 / 0>": "division by zero",
    "<+1 % 0>": "division by zero",
    "<+9223372036854775807 + 1>": "too large",
    "<+9223372036854775808>": "too large",
    "<+1e999>": "column",
    "<+'abc' < 'abd'>": "number is needed",
    "<+1..100000>": "range has at most",
    "<+trigger.branch>": "has no value",
    "x<+null>": "there is no value here",
    "<+null>": "there is no value here",
    "<+matrix.items[2]>": "not a position",
    "<+matrix.items.last>": "",
    "<+json.select('a', 'no json')>": "is not JSON",
    "<+json.select('b', '{\"a\":1}')>": "no key 'b'",
    "<+json.select('a', '[NaN]')>": "is not JSON",
    "<+json.parse('1')>": "not available",
    "<+regex.extract('v[0-9]', codebase.branch)>": "no part of the text matches",
    "<+regex.extract('(', codebase.branch)>": "is not a pattern",
    "<+regex.find('a', 'b')>": "not available",
    "<+regex.match('a')>": "needs 2 arguments",
    "<+regex.extract('.', secrets.getValue('token'))>": "a secret cannot be changed",
    "<+json.format(secrets.getValue('token'))>": "a secret cannot be changed",
    "<+codebase.branch.getClass()>": "no method 'getClass'",
    "<+input>.executionInput()": "needs a value",
    "<+xml.select('a', 'b')>": "not available",
    "<+secrets.token>": "only functions",
    "<+secrets.getValue(token)>": "unknown name token",
    "<+secrets.getValue('missing')>": "no secret 'missing'",
    "<+secrets.getValue('token').substring(1)>": "a secret cannot be changed",
    "<+secrets.getValue('token') == 's3cret-value'>": "a secret cannot be compared",
    "<+'s'.concat(secrets.getValue('token'))>": "a secret cannot be changed",
    "<+empty secrets.getValue('token')>": "a secret cannot be compared",
    "<+json.format([secrets.getValue('token')])>": "cannot be written as text: it contains a secret",
    "<+'x' in 'xyz'>": "needs a list or a map",
    "<+size 3>": "has no size",
    "<+input>": "needs a value",
    "<+input>.default(*x)": "asterisk",
    "<+input>.default(main).allowedValues(dev,prod)": "is not one of dev, prod",
    "<+input>.defualt(x)": "no suffix 'defualt'",
    "<+input>.default(x": "no closing parenthesis",
    "<+'\\uD800'>": "half a character",
}


@pytest.mark.parametrize("text", TEXT)
def test_a_template_gives_this_text(text):
    assert answer(text) == TEXT[text]


@pytest.mark.parametrize("text", VALUES)
def test_an_expression_alone_gives_this_value(text):
    value = answer(text)
    assert (value, type(value)) == (VALUES[text], type(VALUES[text]))


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_no_answer_is_an_error_with_its_column(text):
    error = refused(text)
    assert REFUSED[text] in str(error)
    assert "(column " in str(error)


def test_the_column_counts_from_one_at_the_faulty_part():
    assert str(refused("abc <+pipeline.name + nme>")).endswith("(column 23)")


def test_a_near_method_is_offered():
    assert refused("<+'x'.toLowercase()>").hint == "did you mean toLowerCase()?"


def test_a_bad_name_is_an_error_even_where_a_missing_value_would_not_be():
    assert "unknown name" in str(refused("<+pipelin.name ?? 'x'>"))


def test_only_the_branch_taken_is_looked_at():
    assert answer("<+flag ? 'x' : nobody.knows>") == "x"
    assert answer("<+flag || nobody.knows>") is True
    assert answer("<+!flag && nobody.knows>") is False


def test_a_secret_alone_is_a_secret():
    value = answer("<+secrets.getValue('token')>")
    assert isinstance(value, Secret)
    assert value.reveal() == "s3cret-value"


@pytest.mark.parametrize(
    "text",
    [
        "Bearer <+secrets.getValue('token')>",
        "<+'Bearer ' + secrets.getValue(\"token\")>",
        "<+`Bearer ${secrets.getValue('token')}`>",
        "<+\"Bearer <+secrets.getValue('token')>\">",
    ],
)
def test_text_with_a_secret_in_it_is_a_secret_as_a_whole(text):
    value = answer(text)
    assert isinstance(value, Secret)
    assert value.reveal() == "Bearer s3cret-value"
    assert "s3cret" not in repr(value)


def test_a_secret_never_gets_into_an_error():
    for text in [
        "<+secrets.getValue('token') ? 1 : 2>",
        "<+secrets.getValue('token') * 2>",
        "<+[1][secrets.getValue('token')]>",
    ]:
        assert "s3cret" not in str(refused(text))


class TestInput:
    def test_what_was_given_counts(self):
        assert answer("<+input>.default(main)", tags="dev") == "dev"

    def test_else_the_default(self):
        assert answer("<+input>.default(main).allowedValues(main,dev)") == "main"

    def test_a_default_may_be_an_expression(self):
        assert answer("<+input>.default(<+pipeline.name>)") == "Site"

    def test_a_default_may_be_quoted(self):
        assert answer("<+input>.default('a, b')") == "a, b"

    def test_text_may_follow(self):
        assert answer("v<+input>.default(1).9") == "v1.9"

    def test_a_pattern_is_checked_as_a_whole(self):
        assert answer("<+input>.regex(v[0-9]+(\\.[0-9]+)*)", tags="v1.2") == "v1.2"
        assert "does not match" in str(refused("<+input>.regex(^v[0-9]+$)", tags="v1.2"))

    def test_several_may_be_chosen(self):
        assert answer("<+input>.selectManyFrom(a,b,c)", tags="a, c") == "a, c"
        assert "'d'" in str(refused("<+input>.selectManyFrom(a,b,c)", tags=["a", "d"]))

    def test_a_person_is_asked_where_it_is_given_while_the_file_is_run(self):
        typed = {"typed for tags.allowedValues(dev,prod)": "dev"}
        assert answer("<+input>.allowedValues(dev,prod).executionInput()", **typed) == "dev"
        assert answer("<+input>.executionInput()", tags="given", **{"typed for tags": "typed"}) == "given"
        assert answer("<+input>.default(main).executionInput()") == "main"
        assert "in a terminal" in refused("<+input>.executionInput()").hint

    def test_what_a_person_types_is_checked_too(self):
        typed = {"typed for tags.allowedValues(dev,prod)": "live"}
        text = "<+input>.allowedValues(dev,prod).executionInput()"
        assert "'live' for <+input> is not one of dev, prod" in str(refused(text, **typed))

    def test_it_may_stand_inside_another_expression(self):
        assert answer("<+<+input>.toLowerCase()>", tags="DEV") == "dev"


class TestLimits:
    def test_text_is_at_most_256_kibi_characters(self):
        assert "at most" in str(refused("<+flag>" + "x" * 256 * 1024))

    def test_a_value_is_at_most_256_kibibytes(self):
        assert "at most" in str(refused("<+'aaaaaaaa'.repeat(1024).replace('a', 'b'.repeat(1000))>"))
        assert "longer than" in str(refused("<+'aaaaaaaa'.repeat(1024).replaceAll('a', 'b'.repeat(1000))>"))
        assert "at most" in str(refused("<+'ä'.repeat(200000)>"))
        assert "at most" in str(refused("<+'ä'.repeat(20000).concat('ä'.repeat(120000))>"))

    def test_nothing_is_put_together_that_would_be_too_long(self):
        known = Known()
        known.values = {"long": "x" * 250_000}
        many = ",".join(["long"] * 5000)
        for text in (f"<+json.format([{many}])>", f"<+[{many}].join(',')>", "<+long>" * 5000):
            with pytest.raises(ExpressionError, match="at most"):
                evaluate(text, known)

    @pytest.mark.parametrize(
        "opener", ["<+", "<+(", "<+!", "<+-", "<+[", "<+a[", "<+x.m(", '<+"', "<+flag?1:", "<+{a:"]
    )
    def test_nesting_stops_at_64(self, opener):
        text = opener * 65 if opener.endswith(("+", '"')) else opener + opener[2:] * 70
        assert "(column" in str(refused(text + "1"))

    def test_64_levels_are_fine(self):
        assert answer("<+" * 64 + "flag" + ">" * 64) is True

    def test_a_long_chain_is_no_nesting(self):
        assert answer("<+0" + "+1" * 5000 + ">") == 5000
        assert answer("<+'x'" + ".trim()" * 5000 + ">") == "x"

    @pytest.mark.parametrize(
        ("pattern", "subject"),
        [
            ("a*" * 20 + "b", "a" * 2000),
            ("(a?){16}" * 3 + "a{48}", "a" * 48),
            ("a?" * 60 + "a{60}", "a" * 60),
            ("((a{1,9}){1,9}){1,9}b", "a" * 200),
            (".*x.*y", "z" * 60000),
            ("(.*,)*x", "a," * 20000),
            ("([a-z]+\\.)*x", "a." * 30),
            ("a|b", "c" * 70000),
        ],
    )
    def test_no_pattern_keeps_the_machine_busy(self, pattern, subject):
        known = Known()
        known.values = {"s": subject, "p": pattern}
        begin = time.perf_counter()
        with contextlib.suppress(ExpressionError):
            evaluate("<+s.replaceAll(p, 'x')>", known)
        assert time.perf_counter() - begin < 5

    @pytest.mark.parametrize(
        ("pattern", "subject"),
        [
            (r"v[0-9]+(\.[0-9]+)*", "v1.22.333"),
            (r"([a-z]+/)*[a-z]+", "a/b/c"),
            (r"(foo|bar)*", "foobar"),
            (r"(?i)ABC-\d{1,4}(-rc\d+)?", "abc-12-rc3"),
            (r"([0-9]{1,3}\.){3}[0-9]{1,3}", "10.20.30.40"),
            (r"(?<kind>feat|fix)/.*", "feat/x"),
        ],
    )
    def test_ordinary_patterns_pass(self, pattern, subject):
        known = Known()
        known.values = {"s": subject, "p": pattern}
        assert evaluate("<+s.matches(p)>", known) is True


PIECES = st.sampled_from(
    [
        *"<>()[]{}\"'`\\.?:,+-*/%!=",
        *[
            "<+",
            "${",
            "?.",
            "??",
            "..",
            "==",
            "=~",
            "&&",
            "or",
            "null",
            " ",
            "\n",
            "1",
            "2.5",
            "a",
            "pipeline.name",
            "flag",
            "input",
            "in",
            "not",
            "empty",
            "size",
            "secrets.getValue('token')",
            ".split(",
            ".default(",
            "ä",
            "\x00",
            "😀",
        ],
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_text_is_answered_or_refused_and_never_breaks(text):
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append(answer(text, tags="x"))
        except (ExpressionError, SecretError) as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
    assert "s3cret" not in str(outcomes[0])


@given(st.text())
def test_any_text_without_an_expression_is_itself(text):
    assert all(isinstance(part, str) for part in parse(text.replace("<+", "")).parts)
    assert evaluate(text.replace("<+", ""), Known()) == text.replace("<+", "")


@given(st.text(alphabet="<+\\> ab"))
def test_escaped_text_is_taken_literally(text):
    assert evaluate(escape(text), Known()) == text


@given(st.text(alphabet=string.printable), st.text(alphabet=string.printable))
def test_text_beside_an_expression_is_kept(before, after):
    before, after = (text.replace("<+", "").rstrip("\\<") for text in (before, after))
    assert answer(f"{before}<+pipeline.sequenceId>{after}") == (f"{before}42{after}" if before + after else 42)
