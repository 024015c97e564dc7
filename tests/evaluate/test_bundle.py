"""Surrogates on disk: the same answers after reading, and one sentence for all that is no surrogate."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support_evaluate import climates, planet

from astrohpc.climates.climates import Climates
from astrohpc.climates.physical import projections_for
from astrohpc.emulate.base import Prediction
from astrohpc.emulate.gp import PcaGp
from astrohpc.emulate.ridge import Ridge
from astrohpc.emulate.simple import Mean, Neighbours
from astrohpc.errors import ConfigError
from astrohpc.evaluate import bundle
from astrohpc.evaluate.arrays import Damaged, packed, unpacked
from astrohpc.evaluate.calibrate import calibrate
from astrohpc.evaluate.domain import Domain
from astrohpc.evaluate.surrogate import Common, Surrogate, planets_asked

COUNT = 14
WARM = {"stellar_flux": 1100.0, "co2": 2e-3}


def some_climates() -> Climates:
    """Planets whose climates follow from their two inputs."""
    rng = np.random.default_rng(3)
    flux, co2 = rng.uniform(500, 1500, COUNT), 10.0 ** rng.uniform(-6, -2, COUNT)
    made = [planet(stellar_flux=float(f), co2=float(c)) for f, c in zip(flux, co2, strict=True)]
    pattern = rng.normal(size=(3, 8, 16))
    warm = (flux / 1000 + np.log10(co2) / 10)[:, None, None, None]
    fields = {
        "ta": 250 + 30 * warm + pattern * warm,
        "log_hus": -4 + warm + 0.1 * pattern,
        "rsut": 0.3 * flux[:, None, None] / 4 * (1 + 0.1 * pattern[0]),
        "rlut": 0.7 * flux[:, None, None] / 4 * (1 + 0.1 * pattern[1]),
    }
    found = climates(fields, made)
    params = np.column_stack([flux, co2])
    return type(found)(**{**vars_of(found), "params": params})


def vars_of(one: Climates) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def surrogate_of(kind: type, known: Climates | None = None, **settings: object) -> Surrogate:
    known = known or some_climates()
    values = known.values.astype(np.float64)
    emulator = kind(**settings).fit(known.scaled, values, known.weights, 0)
    error = np.random.default_rng(1).normal(size=values.shape)
    unseen = Prediction(values + error, np.ones_like(values))
    return Surrogate(
        name="a method",
        emulator=emulator,
        inputs=known.inputs,
        variables=known.variables,
        weights=known.weights,
        axes=known.axes,
        common=Common.of(known.planets, known.inputs),
        about={"source": known.source, "mark": known.mark, "members": len(known)},
        domain=Domain(known.inputs, known.scaled),
        calibration=calibrate(known, unseen),
        projections=projections_for(known),
    )


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(Mean, {}), (Ridge, {}), (Ridge, {"degree": 2}), (PcaGp, {"share": 0.9})],
)
def test_a_surrogate_read_again_says_the_same(
    kind: type, settings: dict[str, object], tmp_path: Path
) -> None:
    before = surrogate_of(kind, **settings)
    bundle.write(tmp_path / "s", before, {"git_commit": "abc"})
    after = bundle.read(tmp_path / "s")
    asked = planets_asked([("warm", WARM)], before.inputs, before.common)
    one, other = before.answer(asked), after.answer(asked)
    # Only to rounding: a matrix that was read lies in memory in another order, and sums are done in another.
    for name in ("mean", "low", "high"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-11)
    assert one.outside == other.outside == ("",)
    assert after.inputs == before.inputs
    assert after.variables == before.variables
    assert after.common == before.common
    assert after.mark == "synthetic"
    assert [one.name for one in after.projections] == ["bounds", "toa_energy"]
    assert bundle.words_of(tmp_path / "s")["provenance"] == {"git_commit": "abc"}


def test_networks_are_rebuilt_from_plain_words_and_tensors_alone(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the extra train has it")
    from astrohpc.evaluate.networks import Ensemble
    from astrohpc.models.unet import Channel, Unet, UnetShape

    known = some_climates()
    before = surrogate_of(PcaGp, known, share=0.9)
    shape = UnetShape(
        inputs=2,
        variables=tuple(
            Channel(name=one.name, levels=one.shape[0] if one.levels else 0)
            for one in known.variables
        ),
        lat=tuple(known.axes["lat"].tolist()),
        lon=tuple(known.axes["lon"].tolist()),
        depth=(0.1, 0.35, 0.75),
        width=8,
        stages=1,
    )
    torch.manual_seed(0)
    made = []
    for _ in range(2):
        network = Unet(shape).eval()
        with torch.no_grad():
            for one in network.parameters():
                one.copy_(0.05 * torch.randn_like(one))
        made.append(network)
    plain = [json.loads(json.dumps(shape.plain())) for _ in made]
    ensemble = Ensemble(before.emulator, plain, made)
    whole = type(before)(
        **{**{n: getattr(before, n) for n in before.__dataclass_fields__}, "emulator": ensemble}
    )
    bundle.write(tmp_path, whole, {})
    after = bundle.read(tmp_path)
    asked = planets_asked([("warm", WARM)], whole.inputs, whole.common)
    one, other = whole.answer(asked), after.answer(asked)
    assert np.array_equal(one.mean, other.mean)
    assert np.array_equal(one.high, other.high)
    assert not np.array_equal(one.mean, before.answer(asked).mean)


def test_a_surrogate_of_baselines_needs_neither_torch_nor_scikit_learn(tmp_path: Path) -> None:
    bundle.write(tmp_path, surrogate_of(PcaGp, share=0.9), {})
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from astrohpc.evaluate import bundle\n"
        f"bundle.read(Path({str(tmp_path)!r}))\n"
        "assert not {'torch', 'sklearn'} & set(sys.modules), 'heavy'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_second_surrogate_takes_the_place_of_the_first(tmp_path: Path) -> None:
    bundle.write(tmp_path, surrogate_of(Mean), {})
    first = {path.name for path in tmp_path.iterdir()}
    bundle.write(tmp_path, surrogate_of(Ridge), {})
    second = {path.name for path in tmp_path.iterdir()}
    assert len(second) == 2
    assert first & second == {bundle.FILE}
    assert isinstance(bundle.read(tmp_path).emulator, Ridge)


def test_a_kill_between_numbers_and_words_leaves_the_old_surrogate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.write(tmp_path, surrogate_of(Mean), {})

    whole = bundle.write_atomic

    def killed(path: Path, *rest: object, **more: object) -> None:
        if path.name == bundle.FILE:
            raise KeyboardInterrupt
        whole(path, *rest, **more)

    monkeypatch.setattr(bundle, "write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        bundle.write(tmp_path, surrogate_of(Ridge), {})
    assert isinstance(bundle.read(tmp_path).emulator, Mean)


def test_what_is_no_surrogate_of_ours_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no surrogate"):
        bundle.read(tmp_path)
    with pytest.raises(ConfigError, match="there is no surrogate"):
        bundle.read(tmp_path / "nowhere")
    words = tmp_path / bundle.FILE
    words.write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        bundle.read(tmp_path)
    words.write_text('{"format": "mine"}')
    with pytest.raises(ConfigError, match="no surrogate of ours"):
        bundle.read(tmp_path)


def test_another_version_is_named_with_the_astrohpc_that_wrote_it(tmp_path: Path) -> None:
    bundle.write(tmp_path, surrogate_of(Mean), {})
    words = json.loads((tmp_path / bundle.FILE).read_text())
    (tmp_path / bundle.FILE).write_text(json.dumps(words | {"version": 2, "astrohpc": "9.9"}))
    with pytest.raises(ConfigError, match=r"version 2.*reads version 1.*\(9\.9\)"):
        bundle.read(tmp_path)


@pytest.mark.parametrize("lost", ["emulator", "inputs", "variables", "arrays"])
def test_words_that_lack_a_part_are_damaged(lost: str, tmp_path: Path) -> None:
    bundle.write(tmp_path, surrogate_of(Mean), {})
    words = json.loads((tmp_path / bundle.FILE).read_text())
    del words[lost]
    (tmp_path / bundle.FILE).write_text(json.dumps(words))
    with pytest.raises(ConfigError, match=f"damaged.*{lost}"):
        bundle.read(tmp_path)


def test_numbers_that_were_changed_cut_or_lost_are_damaged(tmp_path: Path) -> None:
    bundle.write(tmp_path, surrogate_of(Mean), {})
    numbers = next(tmp_path.glob("*.safetensors"))
    data = numbers.read_bytes()
    numbers.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ConfigError, match="not what was written"):
        bundle.read(tmp_path)
    numbers.write_bytes(data[:-8])
    with pytest.raises(ConfigError, match="not what was written"):
        bundle.read(tmp_path)
    numbers.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        bundle.read(tmp_path)


def test_a_method_that_cannot_be_written_down_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Neighbours cannot be written down"):
        bundle.write(tmp_path, surrogate_of(Neighbours), {})
    assert not list(tmp_path.iterdir())


def test_arrays_are_safetensors_that_others_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the extra train has it")
    from astrohpc.train.tensorfile import TensorFile

    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array(2.5),
        "c": np.array([[True], [False]]),
        "none": np.empty((0, 4), np.int64),
    }
    (tmp_path / "x.safetensors").write_bytes(packed(arrays))
    file = TensorFile(tmp_path / "x.safetensors")
    ours = unpacked(packed(arrays))
    for name, one in arrays.items():
        assert torch.equal(file[name], torch.from_numpy(np.asarray(one)))
        assert np.array_equal(ours[name], one)
        assert ours[name].dtype == one.dtype
    for data in (b"", b"\xff" * 20, packed(arrays)[:-1]):
        with pytest.raises(Damaged):
            unpacked(data)
