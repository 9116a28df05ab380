"""The configuration file: what is accepted, and the exact words for what is not."""

from pathlib import Path

import msgspec
import pytest

from recorder import config
from recorder.commands.options import DEFAULT_DATA
from recorder.errors import ConfigError
from recorder.model import Stream
from recorder.timetable import Schedule

ANNOTATED = Path(__file__).parents[2] / "config" / "recorder.toml"
POOL = '[[pools]]\nname = "lab"\naddresses = ["https://xen1"]\npassword_env = "LAB"\n'
SCHEDULE = """
[[schedules]]
name = "nightly"
cron = "0 3 * * *"
script = "night.toml"
pools = ["lab"]
"""
NIGHTLY = POOL + SCHEDULE


def refusal(text: str, folder: Path) -> str:
    file = folder / "r.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        config.load(file)
    return str(refused.value).replace(f"{file}: ", "")


def test_annotated_file_loads_and_shows_the_defaults() -> None:
    """What config/recorder.toml shows under [limits] are the defaults, and all of them."""
    loaded = config.load(ANNOTATED)
    assert loaded.limits == config.Limits()
    assert loaded.pools[0].stream is Stream.REGISTER
    assert loaded.data == DEFAULT_DATA
    assert loaded.journal == config.Journal()
    assert loaded.redaction == config.Redaction()
    assert loaded.schedules == ()


@pytest.mark.parametrize(
    "struct",
    [
        config.Config,
        config.Pool,
        config.Login,
        config.AuditTrail,
        config.Tls,
        config.Limits,
        config.Journal,
        config.Redaction,
        Schedule,
    ],
)
def test_annotated_file_explains_every_key(struct: type[msgspec.Struct]) -> None:
    """Every key that is accepted stands in the annotated file."""
    text = ANNOTATED.read_text(encoding="utf-8")
    assert [name for name in struct.__struct_fields__ if name not in text] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no pool to record: add a [[pools]] table"),
        ("pols = 3", "unknown key pols; did you mean 'pools'?"),
        (POOL + 'colour = "red"', "unknown key pools[0].colour; known: name, addresses, user,"),
        (
            POOL + "audit_trail.interval_s = 0.5",
            "pools[0].audit_trail.interval_s: must be from 1 to",
        ),
        (
            POOL + "audit_trail.overlap_s = 4000",
            "pools[0].audit_trail.overlap_s: must be from 1 to",
        ),
        (POOL + 'tls.fingerprnt = "ab"', "unknown key pools[0].tls.fingerprnt; did you mean"),
        ("[limits]\nsilence = 3\n" + POOL, "unknown key limits.silence; did you mean 'silence_s'?"),
        ("[limits]\nsilence_s = 0\n" + POOL, "limits.silence_s: must be more than 0"),
        ("[journal]\nkeep_days = 0\n" + POOL, "journal.keep_days: must be more than 0 and finite"),
        (
            "[redaction]\nword = ['pin']\n" + POOL,
            "unknown key redaction.word; did you mean 'words'?",
        ),
        (
            "[redaction]\nwords = ['']\n" + POOL,
            "redaction.words: an empty text is in every key",
        ),
        (
            "[redaction.fields]\n'VM.NVRM' = 'keep'\n" + POOL,
            "redaction.fields.'VM.NVRM': there is no field of VM with text called 'NVRM'; did",
        ),
        (
            "[redaction.fields]\n'VMM.NVRAM' = 'keep'\n" + POOL,
            "redaction.fields.'VMM.NVRAM': there is no class called 'VMM'; did you mean 'VM'?",
        ),
        (
            "[redaction.fields]\n'vm.NVRAM' = 'keep'\n" + POOL,
            "redaction.fields.'vm.NVRAM': there is no class called 'vm'; did you mean 'VM'?",
        ),
        (
            "[redaction.fields]\n'VM.VCPUs_max' = 'whole'\n" + POOL,
            "redaction.fields.'VM.VCPUs_max': there is no field of VM with text called",
        ),
        (
            "[redaction.fields]\n'host.address' = 'whole'\n" + POOL,
            "redaction.fields.'host.address': the recorder has to write down where the hosts",
        ),
        (
            "[redaction.fields]\nNVRAM = 'keep'\n" + POOL,
            "redaction.fields.NVRAM: write CLASS.field, such as 'VM.NVRAM'",
        ),
        (
            "[redaction.fields]\n'VM.NVRAM' = 'hole'\n" + POOL,
            "redaction.fields.'VM.NVRAM': there is no rule 'hole'; did you mean 'whole'?",
        ),
        (
            "[redaction.fields]\n'VM.name_label' = 'keys'\n" + POOL,
            "redaction.fields.'VM.name_label': VM.name_label is a text, to which 'keys' does not",
        ),
        (
            "[redaction.fields]\n'*.other_confg' = 'keep'\n" + POOL,
            "redaction.fields.'*.other_confg': there is no field called 'other_confg'; did you",
        ),
        (
            "[journal]\nkeep_gb = 1\n" + POOL,
            "unknown key journal.keep_gb; did you mean 'keep_gib'?",
        ),
        (
            '[journal]\nanchor_command = ["no-such-program"]\n' + POOL,
            "journal.anchor_command: there is no program 'no-such-program'",
        ),
        (
            '[journal]\nanchor_file = "/nonexistent/file"\n' + POOL,
            "journal.anchor_file: there is no folder /nonexistent",
        ),
        (POOL + POOL, "pools[1].name: 'lab' is used twice"),
        (POOL.replace('"lab"', '"a b"'), "pools[0].name: 'a b' is not a name"),
        (POOL.replace('"lab"', "7"), "pools[0].name: Expected `str`, got `int`"),
        (POOL.replace('["https://xen1"]', "[]"), "pools[0].addresses: give at least one"),
        (POOL.replace("password_env", "# "), "pools[0]: give one of password_file, password_env"),
        (POOL + 'password_file = "x"', "pools[0]: give one of password_file, password_env"),
        (POOL + 'tls = {ca_file = "x", verify = false}', "pools[0].tls: give one of ca_file,"),
        (
            POOL + 'stream = "frm"',
            "pools[0].stream: Invalid enum value 'frm'; did you mean 'from'?",
        ),
        (POOL + "workload = 3", "pools[0].workload: Expected `object | null`, got `int`"),
        (
            POOL + 'workload.user = "op"\nworkload.pasword_env = "X"',
            "unknown key pools[0].workload.pasword_env; did you mean 'password_env'?",
        ),
        (
            POOL + 'workload.user = "op"',
            "pools[0].workload: give one of password_file, password_env, password_credential",
        ),
        (NIGHTLY.replace('"nightly"', '"a b"'), "schedules[0].name: 'a b' is not a name (letters,"),
        (NIGHTLY.replace('"0 3 * * *"', '"0 3 * *"'), "schedules[0].cron: write 5 fields, minute,"),
        (
            NIGHTLY.replace('"0 3 * * *"', '"0 24 * * *"'),
            "schedules[0].cron: its hour cannot be read: write it like '30 3 * * MON-FRI'",
        ),
        (
            NIGHTLY.replace('"0 3 * * *"', '"0 3 31 2,4 *"'),
            "schedules[0].cron: its day-of-month cannot be read",
        ),
        (
            NIGHTLY.replace('"0 3 * * *"', '"0 0 */31 2 MON#5"'),
            "schedules[0].cron: '0 0 */31 2 MON#5' is never due: there is no such day",
        ),
        (
            NIGHTLY + 'time_zone = "Europe/Berln"',
            "schedules[0].time_zone: there is no time zone 'Europe/Berln': write one such as",
        ),
        (
            NIGHTLY.replace('["lab"]', '["lob"]'),
            "schedules[0].pools: there is no pool 'lob'; did you mean 'lab'?",
        ),
        (NIGHTLY.replace('["lab"]', "[]"), "schedules[0].pools: name at least one pool"),
        (NIGHTLY.replace('["lab"]', '["lab", "lab"]'), "schedules[0].pools: a pool is named twice"),
        (NIGHTLY + SCHEDULE, "schedules[1].name: 'nightly' is used twice"),
        (NIGHTLY + "corn = 3", "unknown key schedules[0].corn; did you mean 'cron'?"),
        (NIGHTLY.replace("script", "# script"), "schedules[0].script: is missing"),
        ("pools = ", "not valid TOML: Invalid value (at end of document)"),
    ],
)
def test_mistake_is_named_with_its_key(text: str, message: str, tmp_path: Path) -> None:
    """Every mistake is answered with the file, the key and what to do."""
    assert refusal(text, tmp_path).startswith(message)


MISTAKEN = """
colour = "red"
data = 7

[limits]
silence = 3
grace_s = 0

[[pools]]
name = "a b"
addresses = ["https://xen1"]
password_env = "LAB"

[[pools]]
name = "sound"
addresses = ["https://xen2"]
password_env = "LAB"

[[pools]]
name = "typed"
addresses = ["https://xen3", 4]
password_env = "LAB"
tls.verfy = true

[[pools]]
user = "root"

[redaction]
words = [""]
"""


def test_reading_tells_every_mistake_at_once(tmp_path: Path) -> None:
    """Who checks a file mends all of it in one go, and what is sound in it can be tried already."""
    file = tmp_path / "r.toml"
    file.write_text(MISTAKEN, encoding="utf-8")
    reading = config.read(file)
    assert reading.mistakes == (
        "unknown key colour; known: pools, data, limits, journal, redaction, schedules",
        "data: expected a path, got 7",
        "unknown key limits.silence; did you mean 'silence_s'?",
        "pools[2].addresses[1]: Expected `str`, got `int`",
        "unknown key pools[2].tls.verfy; did you mean 'verify'?",
        "pools[3].name: is missing",
        "pools[3].addresses: is missing",
        "pools[0].name: 'a b' is not a name (letters, digits, '.', '_' and '-', at most 64)",
        "redaction.words: an empty text is in every key",
    )
    assert [pool.name for pool in reading.config.pools] == ["sound"]
    assert reading.config.limits == config.Limits()


def test_loading_tells_the_first_mistake_and_where_to_see_the_others(tmp_path: Path) -> None:
    """A recorder that does not start says so in one line, but hides nothing."""
    assert refusal(MISTAKEN, tmp_path) == (
        "unknown key colour; known: pools, data, limits, journal, redaction, schedules; 8 more: see"
        f" xentrail check --config {tmp_path / 'r.toml'}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[limits]]\nsilence_s = 9.0\n" + POOL, "limits: Expected `object`, got `array`"),
        ('[pools]\nname = "lab"\naddresses = []\n', "pools: Expected `array`, got `object`"),
        ('pools = ["lab"]', "pools[0]: Expected `object`, got `str`"),
    ],
)
def test_table_of_the_wrong_kind_is_not_ignored(text: str, message: str, tmp_path: Path) -> None:
    """A list of tables is not a table, nor the other way round."""
    assert refusal(text, tmp_path) == message


def test_reading_of_a_file_that_cannot_be_read_has_that_mistake(tmp_path: Path) -> None:
    """What is no TOML, or not there, is one mistake; nothing in it can be tried."""
    assert config.read(tmp_path / "no.toml").mistakes == (
        "cannot be read: No such file or directory",
    )


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A configuration that is not there is said to be so."""
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: No such file or directory"):
        config.load(tmp_path / "no.toml")


def pool(**changes: object) -> config.Pool:
    base = config.Pool(name="lab", addresses=("https://xen1",))
    return msgspec.structs.replace(base, **changes)


def test_password_comes_from_a_file_without_its_newline(tmp_path: Path) -> None:
    """A trailing newline, as editors leave it, is not part of the password."""
    file = tmp_path / "p"
    file.write_text("s p a c e \n", encoding="utf-8")
    assert config.password_of(pool(password_file=file)) == "s p a c e "


def test_password_comes_from_the_environment() -> None:
    """The variable is named by the configuration."""
    assert config.password_of(pool(password_env="LAB"), {"LAB": "secret"}) == "secret"


def test_password_comes_from_a_systemd_credential(tmp_path: Path) -> None:
    """systemd gives the folder of credentials in CREDENTIALS_DIRECTORY."""
    (tmp_path / "lab").write_text("secret", encoding="utf-8")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert config.password_of(pool(password_credential="lab"), environ) == "secret"


def test_missing_password_is_named_by_its_source(tmp_path: Path) -> None:
    """The message says where a password was looked for."""
    with pytest.raises(ConfigError, match="the environment variable LAB is not set"):
        config.password_of(pool(password_env="LAB"), {})
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY is not set"):
        config.password_of(pool(password_credential="lab"), {})
    with pytest.raises(ConfigError, match=r"password file .*none cannot be read: No such file"):
        config.password_of(pool(password_file=tmp_path / "none"))
    (tmp_path / "empty").touch()
    with pytest.raises(ConfigError, match=r"empty is empty"):
        config.password_of(pool(password_file=tmp_path / "empty"))


def test_workloads_log_in_as_their_own_user(tmp_path: Path) -> None:
    """The user of [pools.workload] if there is one, else that of the pool; all else stays."""
    file = tmp_path / "recorder.toml"
    file.write_text(POOL + 'workload.user = "op"\nworkload.password_env = "OP"', encoding="utf-8")
    (pool,) = config.load(file).pools
    assert (pool.driven.user, pool.driven.addresses) == ("op", pool.addresses)
    assert config.password_of(pool.driven, {"LAB": "a", "OP": "b"}) == "b"
    assert config.password_of(pool, {"LAB": "a", "OP": "b"}) == "a"
    file.write_text(POOL, encoding="utf-8")
    (pool,) = config.load(file).pools
    assert pool.driven == pool
