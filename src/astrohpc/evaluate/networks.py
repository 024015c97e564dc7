"""Trained networks among the methods: what a run of ``launch train`` says of planets it never saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from astrohpc.climates.climates import Array, Climates, digest_of
from astrohpc.climates.split import Split
from astrohpc.emulate.base import Prediction
from astrohpc.errors import ConfigError
from astrohpc.evaluate import kinds
from astrohpc.evaluate.calibrate import FEWEST_PLANETS
from astrohpc.evaluate.fitted import JUDGED, Fitted, calibrations
from astrohpc.files import digest
from astrohpc.models.settings import UnetSettings
from astrohpc.models.unet import Unet
from astrohpc.physics.projections import Projection
from astrohpc.train.climate_source import ClimateSource
from astrohpc.train.direct import Direct
from astrohpc.train.first_guess import wanted
from astrohpc.train.networks import best, combined, guess_of, members, networks, rebuilt
from astrohpc.train.run import DIRECT, TRUST, Run

Plain = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks beside one first guess: an emulator that can be written down."""

    guess: Any
    plain: Sequence[Plain]
    networks: Sequence[Unet]

    @classmethod
    def of(cls, run: Path) -> Self:
        """Of a run's folder."""
        found = networks(run)
        made = [rebuilt(plain, tensors) for plain, tensors in found]
        return cls(guess_of(run).emulator, [plain for plain, _ in found], made)

    def predict(self, scaled: Array) -> Prediction:
        """Mean and spread of the mixture of what the networks say."""
        return combined(self.networks, scaled, self.guess.predict(scaled))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Constructor arguments in plain words, and tensors."""
        said, own = self.guess.state()
        arrays = {f"guess/{name}": values for name, values in own.items()}
        for k, network in enumerate(self.networks):
            arrays |= {
                f"{k}/{name}": tensor.detach().cpu().numpy()
                for name, tensor in network.state_dict().items()
            }
        guess = {"kind": kinds.kind_of(self.guess), "arguments": said}
        return {"guess": guess, "networks": list(self.plain)}, arrays

    @classmethod
    def restored(cls, said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From ``state``."""

        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {
                name.removeprefix(prefix): values
                for name, values in arrays.items()
                if name.startswith(prefix)
            }

        guess = said["guess"]
        made = []
        for k, plain in enumerate(said["networks"]):
            tensors = {name: torch.from_numpy(np.array(one)) for name, one in part(f"{k}/").items()}
            made.append(rebuilt(plain, tensors))
        emulator = kinds.restored(guess["kind"], guess["arguments"], part("guess/"))
        return cls(emulator, said["networks"], made)


def state_of(run: Path) -> str:
    """What a run has learned so far, as a digest; ConfigError where it has nothing that can be judged."""
    if not _is_unet(Run.of(run)) and not (run / DIRECT).is_file():
        raise ConfigError(
            f"{run.name}: only networks that learned fields of mean climates to the last step can be judged "
            "beside the baselines; train model=unet, or another with train.data.climates=true, or leave "
            "this training out."
        )
    if not _is_unet(Run.of(run)):
        return digest([[str(member.name), best(member)[1].files] for member in members(run)])
    for member in members(run):
        if not (member / TRUST).is_file():
            raise ConfigError(
                f"{run.name}: {member.name} has not come to its last step; run 'launch train' to its "
                "end first."
            )
    return digest(
        [
            [plain, {name: digest_of(one.cpu().numpy()) for name, one in tensors.items()}]
            for plain, tensors in networks(run)
        ]
    )


def check_fits(run: Path, climates: Climates, parts: Split) -> None:
    """ConfigError where it learned other variables, or from other planets than these."""
    about = Run.of(run)
    alone = None if _is_unet(about) else Direct.of(run).plain
    plain = (alone or networks(run)[0][0])["variables"]
    theirs = [f"{one['name']} ({one['levels']} levels)" for one in plain]
    ours = [
        f"{one.name} ({one.shape[0] if one.levels else 0} levels)" for one in climates.variables
    ]
    if theirs != ours:
        raise ConfigError(
            f"{run.name}: it was trained on {', '.join(theirs)}, and {climates.source} gives "
            f"{', '.join(ours)}; name the same evaluate.variables, or train again."
        )
    if len(parts.validation) < FEWEST_PLANETS:
        raise ConfigError(
            f"{run.name}: its intervals are calibrated on validation planets, and there are "
            f"{len(parts.validation)} of the {FEWEST_PLANETS} that this takes; write a larger "
            "split.validation."
        )
    if alone is not None:
        same = bool(alone["data"] == ClimateSource(climates, parts).digest)
    else:
        assert isinstance(about.model, UnetSettings)
        split_seed = about.train.data.split.seed
        same = guess_of(run).seen == wanted(climates, parts, about.model, split_seed)
    if not same:
        raise ConfigError(
            f"{run.name}: it was trained on other planets than {climates.source} is split into here, and may "
            "have seen those that judge it; write the same split.* for both, or train again."
        )


def fit_networks(
    run: Path,
    name: str,
    climates: Climates,
    parts: Split,
    projections: Sequence[Projection],
) -> Fitted:
    """What trained networks say; their intervals follow from the validation planets."""
    about = Run.of(run)
    found: Ensemble | Direct = Ensemble.of(run) if _is_unet(about) else Direct.of(run)
    made = found.networks if isinstance(found, Ensemble) else (found.network,)
    everyone = climates.scaled
    said = {part: found.predict(everyone[getattr(parts, part)]) for part in JUDGED}
    plain, exact = calibrations(climates.take(parts.validation), said["validation"], projections)
    return Fitted(
        name=name,
        trained=True,
        settings={
            "networks": len(made),
            "steps": about.train.steps,
            "weights": sum(one.numel() for one in made[0].parameters()),
        },
        skill=None,
        cpu_s=None,
        said=said,
        plain=plain,
        exact=exact,
        emulator=found,
    )


def _is_unet(about: Run) -> bool:
    return isinstance(about.model, UnetSettings)
