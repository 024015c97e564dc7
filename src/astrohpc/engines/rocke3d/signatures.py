"""What ModelE writes when it stops, as a modeller reads it: the cause and the remedy.

The first that matches counts, so the particular stand before the general. A pattern's groups, and
what the run was given, fill its sentence.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from astrohpc.engines.rocke3d.evidence import Evidence
from astrohpc.outcome import Outcome, Verdict

_STEPS = (
    "go back to a month-start restart, run some months with a shorter time step ({shorter}), then "
    "with the usual one"
)
_HOT_K = 373.0  # where the model's dynamics take the air as out of bounds
_COLD_K = 100.0
_MILD_K = 280.0


@dataclass(frozen=True)
class Signature:
    """A sign in the texts of a run folder, and what it means."""

    pattern: str
    outcome: Outcome
    sentence: str | Callable[[Evidence, re.Match[str]], str]

    def match(self, text: str, evidence: Evidence) -> Verdict | None:
        """The verdict, where this sign is in ``text``; the last one counts, being nearest the end."""
        matches = list(re.finditer(self.pattern, text))
        if not matches:
            return None
        found = matches[-1]
        if callable(self.sentence):
            return Verdict(self.outcome, self.sentence(evidence, found))
        groups = {key: (value or "").strip() for key, value in found.groupdict().items()}
        return Verdict(self.outcome, self.sentence.format(**groups, shorter=shorter_step(evidence)))


def shorter_step(evidence: Evidence) -> str:
    """The remedy's time step, in numbers where the run's own is known."""
    step_s = evidence.real("DT")
    return f"DT={step_s / 2:g}. instead of {step_s:g}." if step_s else "half the DT"


def _physics_step(evidence: Evidence, _found: re.Match[str]) -> str:
    wanted = re.findall(r"DTsrc=\s*(\S+)\s+has to stay at/be set to\s*(\S+)", evidence.log)
    if wanted:
        had, needed = wanted[-1]
        return (
            f"DTsrc={float(had):g} does not go an even number of times into the model's day; "
            f"set DTsrc={float(needed):g} in the I file, or, where a run went on with another "
            "DTsrc, the one that it began with"
        )
    return "DTsrc does not go an even number of times into the model's day; choose one that does"


def _dynamics_step(evidence: Evidence, _found: re.Match[str]) -> str:
    wanted = re.findall(r"DT=\s*(\S+)\s+has to be changed to\s*(\S+)", evidence.log)
    if wanted:
        had, needed = wanted[-1]
        return (
            f"DT={float(had):g} does not go an even number of times into DTsrc; "
            f"set DT={float(needed):g} in the I file"
        )
    return "DT does not go an even number of times into DTsrc; choose one that does"


def _out_of_bounds(evidence: Evidence, _found: re.Match[str]) -> str:
    """Air out of bounds: too hot or too cold as a climate, or winds that ran away."""
    text = evidence.end_text
    surface_k = _extreme(r"PBL: Ts bad at .* ([\d.]+)\s*$", text)
    air_k = _extreme(r"SDRAG:.*T,U,V=\s*(\S+)", text)
    if (surface_k or 0.0) > _HOT_K or (air_k or 0.0) > _HOT_K:
        hottest = (
            f"the air at the surface reached {surface_k:.0f} K"
            if surface_k and surface_k > _HOT_K
            else f"the air reached {air_k:.0f} K"
        )
        flux = _flux(evidence)
        return (
            f"overheated: {hottest}, beyond the {_HOT_K:.0f} K that the model's dynamics accept; "
            f"it gets more starlight or greenhouse gas than this model can hold{flux}, so lower "
            "one of them or count it as a runaway; a shorter time step would not help"
        )
    if 0.0 < (air_k or surface_k or _HOT_K) < _COLD_K:
        return (
            f"the air cooled to {air_k or surface_k:.0f} K, below what the model accepts; give it "
            "more starlight, or a surface pressure at which its air does not collapse"
        )
    return (
        "winds or temperatures ran away in the upper layers; "
        f"{_STEPS.format(shorter=shorter_step(evidence))}, or strengthen the damping there (rtau)"
    )


def _flux(evidence: Evidence) -> str:
    for name, unit in (("S0X", ""), ("planet_s0", " W/m2")):
        value = evidence.real(name)
        if value is not None:
            return f" ({name}={value:g}{unit})"
    return ""


def _extreme(pattern: str, text: str) -> float | None:
    """Of the temperatures that stand out, the one that is farthest from a mild one."""
    numbers = []
    for written in re.findall(pattern, text, re.MULTILINE):
        try:
            numbers.append(float(written))
        except ValueError:  # the model writes stars where a number does not fit
            continue
    return max(numbers, key=lambda kelvin: abs(kelvin - _MILD_K), default=None)


def _pressure(evidence: Evidence, found: re.Match[str]) -> str:
    step_s = evidence.real("DT")
    with_step = f" with DT={step_s:g}" if step_s else ""
    return (
        f"the mass of an air column left its bounds at grid box {found['i']}, {found['j']}"
        f"{with_step}: the time step is too long for the winds there; {_remedy(evidence)}"
    )


def _remedy(evidence: Evidence) -> str:
    if evidence.month_starts:
        return _STEPS.format(shorter=shorter_step(evidence))
    return f"run it with a shorter time step ({shorter_step(evidence)})"


def _unstable(evidence: Evidence, found: re.Match[str]) -> str:
    return (
        f"advection failed ({found[0].strip()}): the winds are too strong for the time step; "
        f"{_remedy(evidence)}"
    )


def _polar(evidence: Evidence, _found: re.Match[str]) -> str:
    return (
        "the polar stratosphere blew up (limitq: a tracer went negative), as happens now and then; "
        f"{_remedy(evidence)}"
    )


def _floating(evidence: Evidence, found: re.Match[str]) -> str:
    return (
        f"an arithmetic operation failed ({found[0].strip()}), most likely because the time step is "
        f"too long; {_remedy(evidence)}"
    )


_BAD, _BLOWN, _MEMORY = Outcome.BAD_CONFIG, Outcome.BLOWN_UP, Outcome.OUT_OF_MEMORY

# Causes outside the model, which whatever else it wrote follows from.
OUTSIDE = (
    Signature(
        r"(?i)out of memory|oom-kill|oom_kill|cannot allocate memory|insufficient virtual memory",
        _MEMORY,
        "there was not enough memory; give the job more, or spread it over more tasks",
    ),
    Signature(
        r"(?i)no space left on device|disk quota exceeded",
        _BAD,
        "the disk or its quota is full; free space there and run the same command again",
    ),
    Signature(
        r"(?P<file>\S+\.exe)['\"]?: (No such file or directory|not found|cannot execute|Permission)",
        _BAD,
        "the executable {file} is not there or may not be run; build it again with 'launch plan', "
        "or correct where the engine looks for it",
    ),
    Signature(
        r"unable to (find|launch) the specified (executable|application)[^\n]*",
        _BAD,
        "MPI does not find the executable; build it again with 'launch plan', or correct where the "
        "engine looks for it",
    ),
    Signature(
        r"error while loading shared libraries: (?P<file>[^:\s]+)",
        _BAD,
        "the library {file} is not found on the compute node; load the modules that the executable "
        "was built with",
    ),
)

# What the model says of its input before it begins.
INPUT = (
    Signature(
        r"Please define master_yr",
        _BAD,
        "the parameter master_yr is missing; add for example master_yr=1850 to the I file (0 is a "
        "transient run)",
    ),
    Signature(r"INPUT: DTsrc inappropriately set", _BAD, _physics_step),
    Signature(r"INPUT: DT inappropriately set", _BAD, _dynamics_step),
    Signature(
        r"INPUT: nmonav inappropriately set",
        _BAD,
        "NMONAV does not divide the year's twelve months; set it to 1, 2, 3, 4, 6 or 12",
    ),
    Signature(
        r"INPUT: yearI not provided",
        _BAD,
        "the start date is missing; add YEARI=... to &INPUTZ in the I file",
    ),
    Signature(
        r"INPUT: (start date inconsistent with data|Improper start date[^\n<]*)",
        _BAD,
        "the start date does not fit the restart file or IYEAR1; set YEARI, MONTHI, DATEI and HOURI "
        "to the date of the file",
    ),
    Signature(
        r"Rundeck name too long",
        _BAD,
        "the run's name is too long; shorten the label's first word to 32 characters",
    ),
    Signature(
        r"PARAM: wrong type or dim of parameter:\s*(?P<name>\w+)",
        _BAD,
        "the parameter {name} has the wrong type or number of values; a real number needs its "
        "point (225. and not 225), text needs quotes",
    ),
    Signature(
        r"PARAM: wrong type or dim of parameter",
        _BAD,
        "a parameter has the wrong type or number of values (the log names it); a real number needs "
        "its point (225. and not 225), text needs quotes",
    ),
    Signature(
        r"PARAM: Can.?t get - not in database\s*:\s*(?P<name>\w+)",
        _BAD,
        "the parameter {name} is missing; add it to the I file",
    ),
    Signature(
        r"PARAM: (Can.?t get parameter|The name is not in the database)",
        _BAD,
        "a parameter that the model needs is missing (the log names it); add it to the I file",
    ),
    Signature(
        r"PARSER: no values were given to param:\s*(?P<name>\w+)",
        _BAD,
        "the parameter {name} has no value; write one after '=', or remove the line",
    ),
    Signature(
        r"PARSER[: ][^\n<]*|parse_params: increase MAXDIM|Error reading I-file",
        _BAD,
        "the model cannot read the parameters of the I file; check that every line is name=value "
        "and that &&END_PARAMETERS is there",
    ),
    Signature(
        r"Error in NAMELIST parameters",
        _BAD,
        "the model cannot read &INPUTZ in the I file; check its names, commas and the '/' that "
        "ends it",
    ),
    Signature(
        r"(nonexistent file|FILEMANAGER: Error opening file)\s+(?P<file>\S+)",
        _BAD,
        "the input file {file} is not there; fetch it, or correct its _file_ line in the I file",
    ),
    Signature(
        r"FILEMANAGER: FILE OPENING ERROR",
        _BAD,
        "an input file cannot be opened (the log names it); fetch it, or correct its path",
    ),
    Signature(
        r"restart problem|fv part of restart file not found|damaged file|file too short",
        _BAD,
        "the restart file is damaged or incomplete; start from the other one (ISTART=13) or from a "
        "month-start restart (ISTART=9)",
    ),
    Signature(
        r"GIC READ IN ERROR|input file bad or too short",
        _BAD,
        "an input file is damaged or of another resolution; fetch it again, and check that it "
        "belongs to this grid",
    ),
)

# What the model says when its numbers leave their bounds.
UNSTABLE = (
    Signature(r"limitq error[^\n]*", _BLOWN, _polar),
    Signature(
        r"Stopped in (aadv\w+|[XYZ]STEP)|AADVQ0: ncyc\w*>\w+|too many steps in xstep",
        _BLOWN,
        _unstable,
    ),
    Signature(
        r"Stopped in ATMDYN::SDRAG|PBL: Ts out of range|SNOW:T>0|Temperature out of range",
        _BLOWN,
        _out_of_bounds,
    ),
    Signature(
        r"PRESSURE DIAGNOSTIC\s+I,J,MRCH(?:,P,PA)?=\s*(?P<i>\d+)\s+(?P<j>\d+)", _BLOWN, _pressure
    ),
    Signature(r"limitq warning: abs\(a\)>1", _BLOWN, _polar),
    Signature(
        r"SIGFPE[^\n]*|Floating point exception|[Ee]rroneous arithmetic operation",
        _BLOWN,
        _floating,
    ),
    Signature(
        r"(?P<what>ERR in init_snow[^\n<]*|evap_max_out = NaN|NaN in \w+|nan in \w+)",
        _BLOWN,
        "a quantity is not a number any more ({what}), most likely because the time step is too "
        f"long; {_STEPS}",
    ),
)

_SEGMENTATION = r"SIGSEGV|[Ss]egmentation fault"
CRASH_AT_START = Signature(
    _SEGMENTATION,
    _BAD,
    "it crashed with a segmentation fault before its first step, for which too small a stack is the "
    "usual cause; raise it (ulimit -s unlimited, or STACKSIZE in the deck's Run Options)",
)
CRASH = Signature(
    _SEGMENTATION,
    _BLOWN,
    "it crashed with a segmentation fault in mid-run, as it does when a quantity leaves the tables; "
    f"{_STEPS}; if it crashes at the first step, raise the stack",
)
