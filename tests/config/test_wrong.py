"""Wrong configurations: each mistake gives one message, with its line, its key and a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.configs import FOLDER, GOOD, SERVICE, problems_in

if TYPE_CHECKING:
    from pathlib import Path


class Wrong(NamedTuple):
    """A configuration with one mistake: where it is and parts of what is said about it."""

    name: str
    text: str | bytes
    line: int | None
    key: str
    message: str
    remedy: str


PROFILE = GOOD + "profiles:\n  p:\n"
"""What is added with four spaces is in the profile, from line 8."""


def folder(line: str) -> str:
    """Add one line to the folder."""
    return GOOD + "    " + line + "\n"


def profile(*lines: str) -> str:
    """Make a profile of some lines."""
    return PROFILE + "".join(f"    {line}\n" for line in lines)


def engine(line: str) -> str:
    """Return a config whose line 7 is a key of the engine."""
    return GOOD + f"engine:\n  {line}\n"


def service(line: str) -> str:
    """Make a service of the engine and one more line."""
    return FOLDER + "service:\n  url: embedded\n  " + line + "\n"


CASES = [
    # the text
    Wrong("empty file", "", None, "", "the file is empty", "upscaled init"),
    Wrong("only comments", "# nothing\n\n", None, "", "the file is empty", "upscaled init"),
    Wrong("a list", "- a\n- b\n", 1, "", "it is a list, not a mapping", "folders:"),
    Wrong("a word", "hello\n", 1, "", "not a mapping", "folders:"),
    Wrong("open bracket", GOOD + "log: [\n", 7, "", "not valid YAML", "indentation"),
    Wrong("bad indentation", GOOD + "log:\n format: auto\n  level: info\n", 8, "", "not valid YAML", "indentation"),
    Wrong("missing colon", GOOD + "log\n", 7, "", "not valid YAML", "colons"),
    Wrong("tab", GOOD + "log:\n\tlevel: info\n", 7, "", "a tab", "spaces"),
    Wrong("two documents", GOOD + "---\na: 1\n", 6, "", "not valid YAML", ""),
    Wrong("not UTF-8", GOOD.encode() + b"# caf\xe9\n", 6, "", "not UTF-8", "Save it as UTF-8"),
    Wrong("control character", GOOD + "log: {level: \x07}\n", 6, "", "U+0007", "Remove it"),
    Wrong("escape", GOOD + 'log: {level: "\\UFFFFFFFF"}\n', 6, "", "`\\U` is not followed", "Correct the escape"),
    Wrong("tag", GOOD + "log: !!python/object:os.system {}\n", 6, "log", "tag", "Remove the tag"),
    Wrong("unquoted star", folder("ignore: [*.tmp]"), 6, "", "begins with `*`", "quotes"),
    Wrong("unquoted variable in braces", GOOD + "log: {level: ${L}}\n", 6, "", "unquoted within", "quotes"),
    Wrong("key twice", folder("inbox: other"), 6, "folders[0].inbox", "given twice; it stands on line 3", "Remove"),
    Wrong("section twice", GOOD + SERVICE, 6, "service", "given twice; it stands on line 1", "Remove"),
    Wrong("key is a list", GOOD + "? [a]\n: 1\n", 6, "", "plain text", "key: value"),
    Wrong(
        "contains itself", folder("ignore: &a [*a]"), 6, "folders[0].ignore[0]", "contains itself", "Write the value"
    ),
    Wrong("huge number", folder("priority: " + "9" * 5000), 6, "folders[0].priority", "too large", "digits"),
    Wrong("infinite number", profile("creativity: 1e999"), 8, "profiles.p.creativity", "too large", "digits"),
    Wrong("escaped NUL", folder('name: "{stem}\\0"'), 6, "folders[0].name", "no character", "Remove"),
    # variables
    Wrong(
        "undefined variable", folder("failed: ${NO}/x"), 6, "folders[0].failed", "NO is not set", "Set it in the env"
    ),
    Wrong("bad variable", folder("failed: ${1x}"), 6, "folders[0].failed", "`${` does not begin a variable", "$$"),
    Wrong("unclosed variable", folder("failed: ${NO"), 6, "folders[0].failed", "does not begin a variable", "$$"),
    Wrong(
        "undefined in a list", folder('ignore: ["a", "${NO}"]'), 6, "folders[0].ignore[1]", "NO is not set", "Set it"
    ),
    Wrong("variable of a wrong type", folder("priority: ${HOME}"), 6, "folders[0].priority", "/home/ann", "Correct"),
    # keys
    Wrong("unknown section", GOOD + "folder: []\n", 6, "folder", "not known", "Did you mean `folders`?"),
    Wrong("unknown folder key", folder("inbx: a"), 6, "folders[0].inbx", "not known", "Did you mean `inbox`?"),
    Wrong("key of elsewhere", folder("tier: gold"), 6, "folders[0].tier", "not known", "It belongs under service"),
    Wrong("nothing like it", GOOD + "log: {qqqq: 1}\n", 6, "log.qqqq", "not known", "Known here: format, level"),
    Wrong(
        "unknown profile key", profile("resolution: 4k"), 8, "profiles.p.resolution", "not known", "`target_resolution`"
    ),
    # folders
    Wrong("no folders", SERVICE, 1, "folders", "there is none", "- inbox: PATH"),
    Wrong("empty folders", SERVICE + "folders: []\n", 2, "folders", "there is none", "- inbox: PATH"),
    Wrong("folders is a mapping", SERVICE + "folders: {inbox: in}\n", 2, "folders", "it is a mapping", "- inbox: PATH"),
    Wrong("a folder is a word", SERVICE + "folders: [in]\n", 2, "folders[0]", "must be a mapping", "key: value"),
    Wrong(
        "missing archive",
        SERVICE + "folders:\n  - inbox: in\n    outbox: out\n",
        3,
        "folders[0].archive",
        "is missing",
        "Add `archive: PATH`, the folder that originals are moved to",
    ),
    Wrong("empty inbox", GOOD.replace("inbox: in", "inbox:"), 3, "folders[0].inbox", "is missing", "Add `inbox: PATH`"),
    Wrong(
        "blank inbox", GOOD.replace(": in\n", ': " "\n'), 3, "folders[0].inbox", "must be text; it is empty", "Write"
    ),
    Wrong("numeric inbox", GOOD.replace(": in\n", ": 7\n"), 3, "folders[0].inbox", "must be text; it is 7", "quotes"),
    Wrong(
        "unknown user",
        folder("failed: ~no-one/x"),
        6,
        "folders[0].failed",
        "the user no-one, and there is none",
        "whole path",
    ),
    Wrong("unknown profile", folder("profile: defalt"), 6, "folders[0].profile", "no profile", "Did you mean default?"),
    Wrong("numeric profile", folder("profile: 4"), 6, "folders[0].profile", "a profile's name or a mapping", "quotes"),
    Wrong("word for a switch", folder("recursive: maybe"), 6, "folders[0].recursive", "true or false", "Correct"),
    Wrong(
        "number for a switch", folder("recursive: 1"), 6, "folders[0].recursive", "true or false; it is 1", "Correct"
    ),
    Wrong(
        "wrong choice", folder("watch: event"), 6, "folders[0].watch", "auto, events or poll", "Did you mean events?"
    ),
    Wrong("collision", folder("on_collision: replace"), 6, "folders[0].on_collision", "version, skip, over", "one of"),
    Wrong("bare duration", folder("settle: 5"), 6, "folders[0].settle", "its unit; it is 5", "Write 5s"),
    Wrong("duration with a wrong unit", folder("hold: 5min"), 6, "folders[0].hold", "its unit", "200ms, 5s"),
    Wrong("negative duration", folder("hold: -5s"), 6, "folders[0].hold", 'it is "-5s"', "200ms, 5s"),
    Wrong("endless duration", folder("hold: 99999d"), 6, "folders[0].hold", "at most 3650d", "shorter"),
    Wrong("switch for a duration", folder("hold: false"), 6, "folders[0].hold", "it is false", "200ms"),
    Wrong("busy sweep", folder("sweep: 1ms"), 6, "folders[0].sweep", "at least 100ms", "100ms or more"),
    Wrong("ignore is a word", folder('ignore: "*.tmp"'), 6, "folders[0].ignore", "must be a list of texts", "drafts"),
    Wrong(
        "ignore holds a number", folder("ignore: [a, 5]"), 6, "folders[0].ignore[1]", "must be text; it is 5", "quotes"
    ),
    Wrong("name with a slash", folder("name: x/{stem}"), 6, "folders[0].name", "without a slash", "mirrored"),
    Wrong("name without a stem", folder("name: result{ext}"), 6, "folders[0].name", "same name", "Add {stem} or {job}"),
    Wrong("name with an unknown field", folder('name: "{stem}{foo}"'), 6, "folders[0].name", "{foo}", "{resolution}"),
    Wrong("name with a lone brace", folder('name: "{stem}{"'), 6, "folders[0].name", "a brace stands alone", "{stem}"),
    Wrong("name with a format", folder('name: "{stem!r}"'), 6, "folders[0].name", "{stem!r} is not known", "{stem}"),
    Wrong("fractional priority", folder("priority: 1.5"), 6, "folders[0].priority", "whole number", "Correct"),
    Wrong("quoted number", folder('priority: "5"'), 6, "folders[0].priority", 'it is "5"', "Correct"),
    # profiles
    Wrong("profiles is a list", GOOD + "profiles: [p]\n", 6, "profiles", "mapping of names", "NAME:"),
    Wrong("profile is a word", GOOD + "profiles: {p: 8k}\n", 6, "profiles.p", "must be a mapping", "key: value"),
    Wrong("creativity 3", profile("creativity: 3"), 8, "profiles.p.creativity", "from -2 to 2; it is 3", "Correct"),
    Wrong("creativity in words", profile("creativity: high"), 8, "profiles.p.creativity", 'it is "high"', "Correct"),
    Wrong("resolution", profile("target_resolution: 16k"), 8, "profiles.p.target_resolution", "2k, 4k or 8k", "one of"),
    Wrong("format", profile("output_format: jpg"), 8, "profiles.p.output_format", "jpeg, png or webp", "mean jpeg?"),
    Wrong("model", profile("model: Real ESRGAN"), 8, "profiles.p.model", "a model's id", "model's page"),
    Wrong("model that climbs", profile("model: a/../b"), 8, "profiles.p.model", "a model's id", "model's page"),
    Wrong("key of another model", profile("model: a/b", "creativity: 1"), 9, "profiles.p.creativity", "a/b", "params"),
    Wrong("params is a list", profile("params: [1]"), 8, "profiles.p.params", "a mapping of the model's", "{scale: 4}"),
    Wrong(
        "own key in params", profile("params: {creativity: 1}"), 8, "profiles.p.params.creativity", "profile", "Move"
    ),
    Wrong(
        "image in params", profile("params: {image: x}"), 8, "profiles.p.params.image", "upscaled's to send", "Remove"
    ),
    Wrong(
        "reserved name", GOOD + "profiles: {inline: {}}\n", 6, "profiles.inline", "written in a folder", "another name"
    ),
    Wrong("name with a slash", GOOD + "profiles: {a/b: {}}\n", 6, "profiles.a/b", "letters, digits", "another name"),
    Wrong("in place", folder("profile: {creativity: 3}"), 6, "folders[0].profile.creativity", "-2 to 2", "Correct"),
    # the service
    Wrong("url", FOLDER + "service: {url: api.wavespeed.ai}\n", 5, "service.url", "must be `embedded` or", "https://"),
    Wrong("url is a number", FOLDER + "service: {url: 5}\n", 5, "service.url", "it is 5", "https://"),
    Wrong("url with a bad port", FOLDER + "service: {url: 'http://h:x'}\n", 5, "service.url", "must be", "https://"),
    Wrong(
        "unencrypted", FOLDER + "service: {url: 'http://api.wavespeed.ai'}\n", 5, "service.url", "unencrypted", "https"
    ),
    Wrong("tier", service("tier: golden"), 7, "service.tier", "bronze, silver, gold or ultra", "Did you mean gold?"),
    Wrong("no flight", service("max_in_flight: 0"), 7, "service.max_in_flight", "from 1 to 100000; it is 0", "Correct"),
    Wrong("switch for a number", service("max_in_flight: yes"), 7, "service.max_in_flight", "it is true", "Correct"),
    Wrong("rate", service("max_per_minute: 0"), 7, "service.max_per_minute", "it is 0", "Correct"),
    Wrong("ahead", service("queue_ahead: all"), 7, "service.queue_ahead", "auto or a whole number", "Correct"),
    Wrong("upload", service("upload: tickets"), 7, "service.upload", "ticket or binary", "Did you mean ticket?"),
    Wrong("ambiguous", service("on_ambiguous: retry"), 7, "service.on_ambiguous", "hold or resubmit", "one of"),
    Wrong("no pause", service("poll_min: 0"), 7, "service.poll_min", "at least 10ms; it is 0", "10ms or more"),
    Wrong("service is a word", FOLDER + "service: embedded\n", 5, "service", "must be a mapping of keys", "key: value"),
    # the rest
    Wrong("log level", GOOD + "log: {level: warn}\n", 6, "log.level", "warning or error", "Did you mean warning?"),
    Wrong("log level off", GOOD + "log: {level: off}\n", 6, "log.level", "it is false", "one of"),
    Wrong("price", GOOD + "budget: {price: -1}\n", 6, "budget.price", "auto or an amount of dollars", "Correct"),
    Wrong("state_dir", GOOD + "state_dir: [a]\n", 6, "state_dir", "must be text; it is a list", "Write"),
    Wrong(
        "command as text", GOOD + "hooks: {after_publish: ls}\n", 6, "hooks.after_publish", "a list of a", "/usr/bin"
    ),
    Wrong("engine tier", engine("tier: standart"), 7, "engine.tier", "fast, standard or max", "mean standard"),
    Wrong("memory without a unit", engine("memory: 2"), 7, "engine.memory", "size with its unit; it is 2", "2GB"),
    Wrong("no memory", engine("memory: 0GB"), 7, "engine.memory", "a size with its unit", "2GB"),
    Wrong("bare patience", engine("patience: 300"), 7, "engine.patience", "its unit; it is 300", "Write 300s"),
    Wrong("gpu", engine("gpu: true"), 7, "engine.gpu", "auto, off or force; it is true", "one of these"),
    Wrong("hours", folder("hours: 22-06"), 6, "folders[0].hours", "cannot be read", "Write it like"),
    Wrong("hours at 25", folder('hours: "22:00-25:00"'), 6, "folders[0].hours", "no time of day", "Write it like"),
    Wrong("hours as a number", folder("hours: 8"), 6, "folders[0].hours", "must be text; it is 8", "Write it like"),
    Wrong("max_new", folder("max_new: 0"), 6, "folders[0].max_new", "off or a whole number", "Correct"),
    Wrong("per_day", GOOD + "budget: {per_day: -1}\n", 6, "budget.per_day", "an amount of dollars", "Correct"),
    # the dashboard
    Wrong("no port", GOOD + "dashboard: {listen: localhost}\n", 6, "dashboard.listen", "HOST:PORT", "127.0.0.1:8765"),
    Wrong("IPv6", GOOD + "dashboard: {listen: '::1:80'}\n", 6, "dashboard.listen", "HOST:PORT", "127.0.0.1:8765"),
    Wrong("no token", GOOD + "dashboard: {listen: ':80'}\n", 6, "dashboard.token", "is missing", "openssl rand"),
    Wrong("a proxy", GOOD + "dashboard: {hosts: [nas.example]}\n", 6, "dashboard.token", "is missing", "openssl"),
    Wrong("short", GOOD + "dashboard: {token: secret}\n", 6, "dashboard.token", "at least 12", "openssl rand"),
    Wrong(
        "short, open", GOOD + "dashboard: {listen: ':80', token: x}\n", 6, "dashboard.token", "at least 12", "openssl"
    ),
    Wrong("URL", GOOD + "dashboard: {hosts: ['http://nas']}\n", 6, "dashboard.hosts", "names of hosts", "name alone"),
    # pictures
    Wrong("metadata", folder("metadata: strip"), 6, "folders[0].metadata", "keep, strip-gps or none", "mean strip-gps"),
    Wrong("mode", folder("mode: 0644"), 6, "folders[0].mode", "octal, in quotes; it is 644", 'like "0664"'),
    Wrong("own mode", folder('mode: "0444"'), 6, "folders[0].mode", "must let the owner write", 'like "0664"'),
    Wrong("group", folder("group: nobodies"), 6, "folders[0].group", "a group of this computer", "getent group"),
    Wrong("no program", GOOD + "hooks: {convert: []}\n", 6, "hooks.convert", "must name a program", "Remove"),
    Wrong(
        "placeholder",
        GOOD + "hooks: {after_publish: [ls, '{in}']}\n",
        6,
        "hooks.after_publish",
        "has no {in} to put into",
        "{output}",
    ),
    Wrong("webhook", service("webhook: {public_url: x.eu}"), 7, "service.webhook.public_url", "address", "https://"),
    Wrong("query", service("webhook: {public_url: 'http://x/?k'}"), 7, "service.webhook.public_url", "without", "it"),
    Wrong("webhook key", service("webhook: {urll: 'https://x'}"), 7, "service.webhook.urll", "not known", "public_url"),
    # not in this version
    Wrong("metrics", GOOD + "metrics: 9090\n", 6, "metrics", "true or false", ""),
    # directories
    Wrong("inbox is outbox", GOOD.replace(": out", ": in"), 4, "folders[0].outbox", "same directory as", "of its own"),
    Wrong(
        "outbox in inbox", GOOD.replace(": out", ": in/out"), 4, "folders[0].outbox", "inside folders[0].inbox", "own"
    ),
    Wrong(
        "inbox in outbox", GOOD.replace(": in", ": out/in"), 4, "folders[0].outbox", "contains folders[0].inbox", "own"
    ),
    Wrong("archive is outbox", GOOD.replace(": arc", ": ./out/"), 5, "folders[0].archive", "same directory as", "own"),
    Wrong(
        "everything in the outbox", GOOD.replace(": out", ": ."), 4, "folders[0].outbox", "folders[0].archive", "own"
    ),
    Wrong(
        "failed in inbox", folder("failed: in/failed"), 6, "folders[0].failed", "lies inside folders[0].inbox", "own"
    ),
    Wrong("failed by default", GOOD.replace(": arc", ": failed"), 3, "folders[0].failed", "same directory as", "own"),
    Wrong("state in inbox", GOOD + "state_dir: in/state\n", 6, "state_dir", "lies inside folders[0].inbox", "own"),
    Wrong("state is outbox", GOOD + "state_dir: out\n", 6, "state_dir", "same directory as", "own"),
    Wrong(
        "two folders, one inbox",
        GOOD + "  - {inbox: in, outbox: o2, archive: a2}\n",
        6,
        "folders[1].inbox",
        "is the same directory as folders[0].inbox",
        "of its own",
    ),
    Wrong(
        "nested inboxes",
        GOOD + "  - {inbox: in/sub, outbox: o2, archive: a2, failed: failed}\n",
        6,
        "folders[1].inbox",
        "lies inside folders[0].inbox",
        "of its own",
    ),
    Wrong(
        "one folder's outbox is another's inbox",
        GOOD + "  - {inbox: out, outbox: o2, archive: a2}\n",
        6,
        "folders[1].inbox",
        "is the same directory as folders[0].outbox",
        "of its own",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_gives_one_message_with_its_line_key_and_remedy(case: Wrong, tmp_path: Path) -> None:
    """One mistake is one problem, and a person can tell from it where to go and what to do."""
    problems = problems_in(case.text, tmp_path)

    assert len(problems) == 1, problems
    [problem] = problems
    assert (str(tmp_path / "upscaled.yaml"), case.line, case.key) == (problem.file, problem.line, problem.key)
    assert case.message in problem.message
    assert case.remedy in problem.remedy
    assert problem.remedy


def test_the_configuration_that_the_mistakes_are_added_to_is_right(tmp_path: Path) -> None:
    """Otherwise the table above would prove nothing."""
    assert [] == problems_in(GOOD, tmp_path)
    assert [] == problems_in(profile("creativity: 1"), tmp_path)
    assert [] == problems_in(service("tier: gold"), tmp_path)
    assert [] == problems_in(folder("priority: 5"), tmp_path)


def test_every_mistake_of_a_file_is_reported_in_its_order(tmp_path: Path) -> None:
    """A person mends a file once, not once a mistake."""
    text = (
        "service: {url: embedded, tier: tin, poll_min: 2}\n"
        "profiles:\n"
        "  soft: {creativity: -3, colour: red}\n"
        "  other: {model: a/b, target_resolution: 4k}\n"
        "folders:\n"
        "  - inbox: in\n"
        "    outbox: in/out\n"
        "    archive: ${NOWHERE}\n"
        "    priority: high\n"
        "    profile: sfot\n"
        "  - outbox: out2\n"
        "    archive: arc2\n"
        "    nsfw: quarantined\n"
        "metrics: often\n"
        "logg: {}\n"
    )

    found = [(problem.line, problem.key) for problem in problems_in(text, tmp_path)]

    assert [
        (1, "service.tier"),
        (1, "service.poll_min"),
        (3, "profiles.soft.creativity"),
        (3, "profiles.soft.colour"),
        (4, "profiles.other.target_resolution"),
        (8, "folders[0].archive"),
        (9, "folders[0].priority"),
        (10, "folders[0].profile"),
        (11, "folders[1].inbox"),
        (13, "folders[1].nsfw"),
        (14, "metrics"),
        (15, "logg"),
    ] == found


def test_a_wrong_number_does_not_hide_what_is_wrong_between_folders(tmp_path: Path) -> None:
    """What is right in a folder with a mistake still takes part in the checks across folders."""
    text = GOOD + "    priority: high\n    profile: defalt\n  - {inbox: in, outbox: o2, archive: a2, settle: 3}\n"

    keys = [problem.key for problem in problems_in(text, tmp_path)]

    assert ["folders[0].priority", "folders[0].profile", "folders[1].settle", "folders[1].inbox"] == keys


def test_the_whole_message_reads_as_one_sentence_and_a_remedy(tmp_path: Path) -> None:
    """File, line, key, what is wrong and what to do, as it is printed."""
    [problem] = problems_in(folder("creativity: 1"), tmp_path)

    expected = (
        f"{tmp_path}/upscaled.yaml:6: folders[0].creativity: this key is not known\n  -> It belongs under profiles."
    )
    assert expected == str(problem)
