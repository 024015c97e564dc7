"""Horovod is the default on many processes; without it there is a sentence, and DDP."""

import pytest

from astrohpc.errors import ConfigError
from astrohpc.train.engines import failures
from astrohpc.train.engines.choose import EngineSettings, choose
from astrohpc.train.engines.failures import RankLost, collective, is_lost_rank, run


@pytest.mark.parametrize(
    ("engine", "size", "built", "name"),
    [
        ("auto", 1, True, "single"),
        ("auto", 4, True, "horovod"),
        ("auto", 4, False, "ddp"),
        ("ddp", 1, False, "ddp"),
        ("fsdp", 4, True, "fsdp"),
        ("horovod", 1, True, "horovod"),
    ],
)
def test_the_engine_chosen(engine: str, size: int, built: bool, name: str) -> None:
    assert choose(EngineSettings(engine=engine), size, built).name == name


def test_where_horovod_is_missing_the_reason_for_ddp_names_the_script() -> None:
    assert "hpc/horovod.sh" in choose(EngineSettings(), 2, False).why
    with pytest.raises(ConfigError, match=r"run hpc/horovod.sh .* or take train.engine=ddp"):
        choose(EngineSettings(engine="horovod"), 2, False)


def test_single_is_not_run_twice_over() -> None:
    with pytest.raises(ConfigError, match="single is one process and 3 were started"):
        choose(EngineSettings(engine="single"), 3, True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("engine", "gloo"), ("bucket_mib", 0.0), ("bucket_mib", float("nan")), ("timeout_s", -1.0)],
)
def test_a_bad_setting_is_named(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{field}: "):
        EngineSettings(**{field: value})


@pytest.mark.parametrize(
    ("said", "lost"),
    [
        ("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:3", True),
        ("[Rank 0] Watchdog caught collective operation timeout", True),
        ("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", False),
    ],
)
def test_a_lost_rank_is_told_from_our_own_mistakes(said: str, lost: bool) -> None:
    assert is_lost_rank(RuntimeError(said)) == lost
    with pytest.raises(RankLost if lost else RuntimeError) as caught, collective("waiting"):
        raise RuntimeError(said)
    assert ("lost while waiting" in str(caught.value)) == lost


def test_a_mistake_of_the_user_is_a_sentence_and_78(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise ConfigError("lr: nan is no number; write one.")

    assert run(main) == 78
    assert capsys.readouterr().err == "error: lr: nan is no number; write one.\n"


def test_a_lost_rank_ends_with_75_without_goodbye(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Left(BaseException):
        pass

    def leave(code: int) -> None:
        raise Left(code)

    def main() -> int:
        raise RankLost("rank 3 is gone; start again.")

    monkeypatch.setattr(failures.os, "_exit", leave)
    with pytest.raises(Left, match="75"):
        run(main)
    assert capsys.readouterr().err == "error: rank 3 is gone; start again.\n"
