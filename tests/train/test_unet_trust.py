"""What a U-Net is believed beside its guess, and the laws that it is softly held to."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support_climates import SMALL, made_up, source_in, unet_trainer
from support_evaluate import GRID, climates, planet, rows

from astrohpc.climates.climates import Climates
from astrohpc.errors import ConfigError
from astrohpc.models.settings import UnetSettings
from astrohpc.models.unet import Unet
from astrohpc.train import trust
from astrohpc.train.networks import best, rebuilt, written
from astrohpc.train.run import NETWORK, TRUST
from astrohpc.train.soft_laws import SoftLaws
from astrohpc.train.surrogate_task import ResidualFields


class Says:
    """A network that is so many times as far from the guess as the truth is, by variable."""

    def __init__(self, task: ResidualFields, times: dict[str, float]) -> None:
        self.task, self.trust = task, torch.ones(1)
        self.times = torch.ones(len(task.source.weights), 1, dtype=torch.float64)
        for name, value in times.items():
            self.times[task.source.channels[name]] = value
        fields = task.source.climates.values[task.source.count :]
        self.truth = torch.from_numpy(fields.astype(np.float64)).reshape(
            len(fields), *task.source.weights.shape
        )

    def double(self) -> "Says":
        return self

    def __call__(self, scaled: torch.Tensor, guess: torch.Tensor, spread: torch.Tensor):  # type: ignore[no-untyped-def]
        inputs = torch.from_numpy(self.task.source.climates.scaled[self.task.source.count :])
        planet = int((inputs - scaled).abs().sum(1).argmin())
        more = self.times * (self.truth[planet] - guess[0])
        return guess + float(self.trust[0]) * more, spread.clamp(min=1e-3)


def test_each_variable_is_believed_as_far_as_it_helps_the_planets_to_validate_with(
    tmp_path: Path,
) -> None:
    task = ResidualFields(source_in(tmp_path), SMALL)
    network = Says(task, {"ta": 2.0, "va": -1.0, "ts": 1.0})
    assert trust.trust(network, task) == {"ta": 0.5, "va": 0.0, "ts": 1.0}  # type: ignore[arg-type]


def test_what_is_settled_is_that_of_one_checkpoint_and_part_of_the_network(tmp_path: Path) -> None:
    trainer = unet_trainer(tmp_path, steps=6, validate_every=3, checkpoint={"every_steps": 3})
    task = trainer.task
    assert isinstance(task, ResidualFields)
    (tmp_path / NETWORK).write_text(json.dumps(task.shape.plain()))
    trainer.run()
    found = trust.settle(tmp_path, task)
    assert set(found) == {"ta", "va", "ts"}
    network = rebuilt(*written(tmp_path))
    for name, part in task.source.channels.items():
        assert network.trust[part].tolist() == pytest.approx(
            [found[name]] * (part.stop - part.start)
        )
    said = json.loads((tmp_path / TRUST).read_text())
    assert said["step"] == best(tmp_path)[1].step
    (tmp_path / TRUST).write_text(json.dumps({**said, "step": said["step"] + 1}))
    assert rebuilt(*written(tmp_path)).trust.eq(1).all()  # of another checkpoint


def test_a_network_that_is_not_believed_says_what_its_guess_says(tmp_path: Path) -> None:
    task = ResidualFields(source_in(tmp_path), SMALL)
    model = task.model()
    task.begin(model, 0)
    assert isinstance(model, Unet)
    batch = task.ahead(task.source.read(np.arange(4), task.source.room(4, pinned=False)))
    with torch.no_grad():
        for layer in model.last.values():
            layer.bias.fill_(0.7)
        model.trust[:2] = 0.0
        mean, spread = model(batch["scaled"], batch["guess"], batch["spread"])
    assert torch.equal(mean[:, :2], batch["guess"][:, :2])
    assert (mean[:, 2:] != batch["guess"][:, 2:]).all()
    assert (spread[:, 2:] > 1.5 * batch["spread"][:, 2:]).all()


# ----------------------------------------------------------------------------- laws
def lawful(count: int = 12) -> Climates:
    """Made up so that mass, light and the air's way along a row are kept."""
    rng = np.random.default_rng(3)
    planets = [planet(stellar_flux=float(flux)) for flux in rng.uniform(600, 1400, count)]
    lat, lon = (np.radians(one) for one in (GRID.lat_deg, GRID.lon_deg))
    wave = np.cos(lat)[:, None] * np.cos(lon)  # whose mean over a row is nought
    size = rng.uniform(0.5, 1.0, (count, 1, 1))
    light = np.array([0.25 * one.mean_flux_wm2 for one in planets])[:, None, None]
    sent_back = 0.3 * light * (1 + 0.5 * size * wave)
    fields = {
        "va": size[:, None] * wave * np.array([3.0, 2.0, 1.0])[:, None, None],
        "ps": 9e4 + 0 * size * wave,
        "rsut": sent_back,
        "rlut": 0.7 * light * (1 + 0.2 * size * wave),
    }
    return climates(fields, planets)


def off(made: Climates, **by: float) -> np.ndarray:
    """Rows that are wrong by so much everywhere, or by so much and another sign on every other planet."""
    found = rows(made)
    sign = np.where(np.arange(len(found)) % 2, 1.0, -1.0)[:, None]
    for name, value in by.items():
        found[:, made.places[name]] += sign * value
    return found


def test_a_law_s_loss_is_one_for_the_guess_and_nought_for_what_keeps_it() -> None:
    made = lawful()
    guess = off(made, va=0.5, ps=300.0, rlut=8.0)
    laws = SoftLaws(made, len(made), guess)
    assert laws.names == ("dry_mass", "meridional_mass_flux", "toa_energy")
    channels = 3 + 1 + 1 + 1
    numbers = torch.arange(len(made))

    def of(values: np.ndarray, which: torch.Tensor = numbers) -> torch.Tensor:
        stack = torch.from_numpy(values).reshape(len(values), channels, -1)
        return laws(stack, which)

    assert of(guess).mean().item() == pytest.approx(1.0)
    assert of(rows(made)).max().item() < 1e-6
    some = [7, 2]  # each with its own planet's constants
    assert torch.allclose(of(guess[some], torch.tensor(some)), of(guess)[some], rtol=1e-12)
    double = of(off(made, va=1.0, ps=600.0, rlut=16.0)).mean().item()
    assert double == pytest.approx(4.0, rel=0.3)


def test_its_gradient_leads_to_what_keeps_the_laws() -> None:
    made = lawful()
    laws = SoftLaws(made, len(made), off(made, ps=300.0, rlut=8.0))
    stack = torch.from_numpy(off(made, ps=300.0, rlut=8.0)).reshape(len(made), 6, -1)
    stack.requires_grad_()
    laws(stack, torch.arange(len(made))).sum().backward()
    assert stack.grad is not None
    assert torch.allclose(
        stack.grad[:, 4], stack.grad[:, 5]
    )  # light sent back and sent out weigh alike
    assert (stack.grad[::2, 3] < 0).all()  # too little pressure there, and too much on the others
    assert (stack.grad[1::2, 3] > 0).all()


def test_a_law_that_the_data_do_not_keep_is_not_learned() -> None:
    made = lawful()
    own = replace(made, values=off(made, rlut=6.0).astype(np.float32))
    laws = SoftLaws(own, len(own), off(own, ps=300.0, rlut=1.0))
    assert laws.names == ("dry_mass",)
    assert SoftLaws(made_up(), 10, made_up().values[:10].astype(float)).names == ()  # of no planets


def test_soft_laws_add_to_the_loss_that_is_trained_and_not_to_what_is_validated(
    tmp_path: Path,
) -> None:
    made = lawful(40)
    losses = []
    for soft in (0.0, 0.5):
        settings = UnetSettings(**{**vars(SMALL), "soft": soft, "guess": "ridge"})
        task = ResidualFields(source_in(tmp_path / str(soft), settings, made), settings)
        model = task.model()
        task.begin(model, 0)
        batch = task.ahead(task.source.read(np.arange(6), task.source.room(6, pinned=False)))
        trained = task.loss(model, batch)
        with torch.no_grad():
            validated = task.loss(model, batch)
        losses.append((trained.total.item(), validated.total.item()))
    laws = SoftLaws(task.source.climates, task.source.count, guess_of(task))
    broken = laws(batch["guess"], batch["number"]).sum().item()
    assert broken > 0
    assert losses[1][0] - losses[0][0] == pytest.approx(0.5 * 4 * broken, rel=1e-4)
    assert losses[1][1] == losses[0][1]
    with pytest.raises(ConfigError, match="soft: -1 is out of bounds"):
        UnetSettings(soft=-1)


def guess_of(task: ResidualFields) -> np.ndarray:
    assert task.source.guess is not None
    return task.source.guess.mean[: task.source.count].astype(np.float64)
