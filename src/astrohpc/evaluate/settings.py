"""What can be set of an evaluation."""

from dataclasses import dataclass, field

from astrohpc.climates.split import SplitSettings
from astrohpc.emulate.methods import METHODS
from astrohpc.errors import ConfigError
from astrohpc.evaluate.imposed import NONE
from astrohpc.physics.projections import ORDER
from astrohpc.settings import suggest

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """How methods are fitted and judged; what is empty is everything there is."""

    name: str = "evaluation"
    seed: int = 0
    variables: tuple[str, ...] = ()
    unconverged: bool = False  # whether members that did not settle count, too
    methods: tuple[str, ...] = ()
    trials: int = 8  # settings that are tried of each method
    folds: int = 5
    trainings: tuple[str, ...] = ()  # names or folders; none: all of these data
    floor: str = ""  # a sweep or store of the same planets from other initial states
    projections: tuple[str, ...] = ()  # none: all of laws that the climate model keeps itself
    surrogate: str = (
        AUTO  # the method that is handed over; auto: the best, not asking the test planets
    )
    split: SplitSettings = field(default_factory=SplitSettings)

    def __post_init__(self) -> None:
        for what, chosen, known in (
            ("methods", self.methods, tuple(METHODS)),
            ("projections", self.projections, (*ORDER, NONE)),
        ):
            for name in chosen:
                if name not in known:
                    raise ConfigError(f"{what}: there is no {name!r}{suggest(name, known)}")
        if self.trials < 1:
            raise ConfigError(f"trials: {self.trials} settings cannot be tried; write 1 or more.")
        if self.folds < 2:
            raise ConfigError(f"folds: {self.folds} cannot be made; write 2 or more.")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The methods that are fitted."""
        return self.methods or tuple(METHODS)
