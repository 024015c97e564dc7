"""A rundeck, an ``I`` file and run folders of our own making, in ModelE's formats."""

import os
from pathlib import Path

import pytest
from support import REPOSITORY

SHARED = Path(os.environ.get("ASTROHPC_SHARED") or REPOSITORY.parent / "shared") / "data"
RUNDECKS, FAILURES = SHARED / "rundecks", SHARED / "gcm" / "failures"

needs_rundecks = pytest.mark.skipif(
    not RUNDECKS.is_dir(),
    reason=f"no rundecks in {RUNDECKS}; set ASTROHPC_SHARED to a folder with data/rundecks",
)
needs_failures = pytest.mark.skipif(
    not FAILURES.is_dir(),
    reason=f"no failed runs in {FAILURES}; set ASTROHPC_SHARED to a folder with data/gcm/failures",
)

DECK = """\
toy (a made-up deck: nothing is built from it)
Second line: free text, even with a colon.

Preprocessor Options
#define PLANET_PARAMS Toy        ! which planet
!#define OFF_FOR_NOW
#define NEW_IO
End Preprocessor Options

Run Options
STACKSIZE=524288

Object modules: (first wins)
   ! a comment of its own
GRID_A LAYERS_B                  ! resolution
ATMDYN OTHER

Components:
shared Ent    /* with "Ent" */

Component Options:
OPTS_Ent = ONLINE=YES            ! an option with '=' in it

Data input files:
AIC=start.nc                     ! first state
GHG=gases.txt                    ! gases
!TOPO=none.nc

Label and Namelist:  (next 2 lines)
toy (a label in brackets)


&&PARAMETERS
! what may change in an emergency
DTsrc=1800.
DT=450.          ! dynamics step
NIsurf=1
  KOCEAN = 1     ! slab
rtau=30000.,20000.,10000.
planetName='Toy'
SUBDD=' '
KOCEAN=1
CO2X=1.d0,       ! trailing comma
DT_XUfilter=450.
nda4=48
&&END_PARAMETERS

 &INPUTZ
 YEARI=0001,MONTHI=1,DATEI=1,HOURI=0, ! start
 YEARE=0011,MONTHE=1,DATEE=1,HOURE=0,     KDIAG=12*0,9,
 ISTART=2,IRANDI=0, YEARE=0001,MONTHE=1,DATEE=1,HOURE=1,
/
Notes after the end are read by nobody.
"""

RUN_INPUT = """\
toy (a label in brackets)

 &&PARAMETERS
 DTsrc=1800.
 DT=450.
 S0X=1.
 KOCEAN=1
 _file_AIC='/somewhere/start.nc'
 &&END_PARAMETERS
 &INPUTZ
 YEARI=1,MONTHI=1,DATEI=1,HOURI=0,
 YEARE=11,MONTHE=1,DATEE=1,HOURE=0, KDIAG=13*0,
 /

 &INPUTZ_cold
 ISTART=2,IRANDI=0, YEARE=1,MONTHE=1,DATEE=1,HOURE=1,
 /
"""

STARTED = "0NASA/GISS Climate Model (re)started      Year    1 JAN   1, Hr  1\n"


def written(number: int, year: int, month: str, day: int, hour: int) -> str:
    """The log's line about a restart file."""
    return (
        f"0Restart file written on fort.{number}        Year{year:5d} {month:4s}{day:3d}, Hr{hour:3d}"
        "  Internal clock time:     480\n"
    )


def stopped_because(message: str) -> str:
    """The end of a log after the model stopped itself."""
    stars = "\n " + "*" * 40 + "\n"
    return f"{stars}  Program terminated due to the following reason:\n  >>  {message}  <<{stars}"


def run_folder(
    folder: Path,
    status: str | None,
    log: str | None = STARTED,
    *,
    restarts: tuple[str, ...] = (),
    errors: str = "",
    locked: bool = False,
    run_input: str = RUN_INPUT,
) -> Path:
    """A run folder as a launch leaves it; restarts are given oldest first."""
    (folder / "I").write_text(run_input)
    if status is not None:
        (folder / "run_status").write_text(status)
    if log is not None:
        (folder / "toy.PRT").write_text(log)
    for age, name in enumerate(reversed(restarts)):
        (folder / name).write_bytes(b"CDF\x01")
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    if errors:
        (folder / "modele.err").write_text(errors)
    if locked:
        (folder / "lock").touch()
    return folder
