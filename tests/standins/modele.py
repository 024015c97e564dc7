"""NOT A CLIMATE MODEL: a stand-in of our own that speaks ModelE's file contract, for tests only.

Nothing of ModelE is in here. It reads ``I``, ``fort.1.nc``, ``fort.2.nc``, ``AIC`` and ``flagGoStop``;
it writes ``run_status``, a log to stdout, alternating restarts, month-start restarts and monthly acc
files, and exits with 13 when all went well. Its climate is one temperature that relaxes to the
planet's equilibrium, ``T = Teq + (T0 - Teq) exp(-t / TAU_S)``, so that results can be computed by hand
and a run that was stopped and resumed can be compared to the bit.

``modele.py --build DECK PLANET_PARAMS EXECUTABLE`` stands in for a user's build script: what it
"builds" holds the compile-time constants. The environment variable ASTROHPC_STANDIN (JSON) makes it
misbehave: ``slow_s`` a day, ``hang`` ("input", or a month), ``ignore_stop``, ``blow_up`` ("sigfpe" or
"hot") in ``month`` if DT is above ``dt_above``, ``torn_restart`` in a month, ``refuse`` (a message).
"""

import json
import math
import os
import re
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
T0_K = 280.0
TAU_S = 0.4 * 365.25 * 86400.0
FEEDBACK_WM2K = 2.0
ALBEDO = 0.3


def equilibrium_k(flux_wm2: float) -> float:
    return 288.0 * (flux_wm2 / 1000.0) ** 0.25


def build(deck: Path, params: Path, executable: Path) -> None:
    name = re.search(r"#define PLANET_PARAMS (\w+)", deck.read_text())
    numbers = re.findall(r"(\w+) = ([\d.]+)d(-?\d+)", params.read_text())
    planet = {key: float(f"{mantissa}e{power}") for key, mantissa, power in numbers}
    assert name and f":: {name[1]} =" in params.read_text(), "the deck names these constants"
    here = str(Path(__file__).resolve().parent)
    executable.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = [{here!r}, {str(TESTS)!r}]\n"
        f"import modele\nmodele.Model({planet!r}).main(sys.argv[1:])\n"
    )
    executable.chmod(0o755)
    print("the stand-in is built", flush=True)


def read_input(text: str, cold: bool) -> tuple[str, dict[str, Any], dict[str, int]]:
    """Label's first word, parameters, and the dates of the run, as the model reads them."""
    head, _, rest = text.partition("&&PARAMETERS")
    block, _, namelists = rest.partition("&&END_PARAMETERS")
    parameters = {}
    for line in block.splitlines():
        name, equals, written = line.partition("!")[0].partition("=")
        if equals:
            parameters[name.strip().lower()] = _value(written.strip())
    warm, _, cold_group = namelists.partition("&INPUTZ_cold")
    pairs = re.findall(r"(\w+)=(\d+)(?=[,\s/]|$)", warm + (cold_group if cold else ""))
    return (
        re.split(r"[ (]", head, maxsplit=1)[0],
        parameters,
        {key: int(value) for key, value in pairs},
    )


def _value(written: str) -> Any:
    if written.startswith("'"):
        return written.strip("'")
    values = [
        float(one.replace("d", "e")) if "." in one else int(one)
        for one in written.split(",")
        if one
    ]
    return values[0] if len(values) == 1 else values


@dataclass
class Model:
    """One launch."""

    planet: dict[str, float]
    switches: dict[str, Any] = field(
        default_factory=lambda: json.loads(os.environ.get("ASTROHPC_STANDIN", "{}"))
    )

    def main(self, arguments: list[str]) -> None:
        cold = "-cold-restart" in arguments
        text = Path(arguments[arguments.index("-i") + 1]).read_text()
        self.run, self.parameters, dates = read_input(text, cold)
        print(f"0{' ' * 40}GISS CLIMATE MODEL (a stand-in of astrohpc's tests)\n", flush=True)
        if self.switches.get("hang") == "input":
            time.sleep(3600)
        if "refuse" in self.switches:
            self.stop(255, self.switches["refuse"])
        self.step_s = self.parameters["dtsrc"]
        self.per_day = round(self.planet["sday"] / self.step_s)
        if abs(self.per_day * self.step_s / self.planet["sday"] - 1) > 1e-9:
            print(f" DTsrc= {self.step_s}  has to stay at/be set to {self.planet['sday']}")
            self.stop(255, "INPUT: DTsrc inappropriately set")
        orbit_s = self.parameters["siderealorbitalperiod"]
        self.per_month = round(orbit_s / self.planet["sday"] / 12) * self.per_day
        self.year1 = dates["YEARI"]
        self.flux = self.parameters["planet_s0"]
        self.load(dates.get("ISTART", 10), self.step_of(dates, "I"))
        self.end = self.step_of(dates, "E")
        self.say_status(1, "Run in progress...")
        Path("flagGoStop").write_text("___GO___\n")
        self.say("0NASA/GISS Climate Model (re)started", "Internal clock: DTsrc-steps")
        if cold:
            self.save_restart()
        while self.itime < self.end:
            self.advance()
            if self.itime % self.parameters.get("nssw", 2) == 0 and self.flagged():
                self.leave(12, "Run stopped with sswE")
        self.leave(13, "Terminated normally (reached maximum time)")

    # ------------------------------------------------------------------ time
    def step_of(self, dates: dict[str, int], letter: str) -> int:
        months = (dates[f"YEAR{letter}"] - self.year1) * 12 + dates[f"MONTH{letter}"] - 1
        hours = (dates[f"DATE{letter}"] - 1) * 24 + dates[f"HOUR{letter}"]
        return months * self.per_month + hours * self.per_day // 24

    def date(self) -> tuple[int, int, int, int]:
        months, rest = divmod(self.itime, self.per_month)
        day, step = divmod(rest, self.per_day)
        return self.year1 + months // 12, months % 12, day + 1, step * 24 // self.per_day

    def advance(self) -> None:
        goal = equilibrium_k(self.flux)
        self.temp_k = goal + (self.temp_k - goal) * math.exp(-self.step_s / TAU_S)
        self.total += self.temp_k
        self.itime += 1
        if self.itime % self.per_day == 0:
            if self.itime % self.per_month:
                self.misbehave()
            print(f" day {self.itime // self.per_day} T={self.temp_k:.6f}", flush=True)
            time.sleep(self.switches.get("slow_s", 0.0))
        months, rest = divmod(self.itime, self.per_month)
        if rest == 0 and months % self.parameters.get("nmonav", 1) == 0:
            self.save_month(months)
        if self.itime % self.parameters["ndisk"] == 0:
            self.save_restart()

    def flagged(self) -> bool:
        if self.switches.get("ignore_stop"):
            return False
        try:
            return Path("flagGoStop").read_text()[:8] != "___GO___"
        except FileNotFoundError:
            return True

    # ------------------------------------------------------------------ files
    def load(self, istart: int, begin: int) -> None:
        self.kdisk = 1
        if istart == 2:
            self.itime = self.itime0 = begin
            self.temp_k, self.total = T0_K, 0.0
            return
        assert Path("AIC").exists(), "input data are linked while the model runs"
        if istart == 9:
            self.read_restart("AIC")
            self.itime0, self.total = self.itime, 0.0
            print(f"0Model restarted; ISTART= 9, TIME={self.itime:11d}")
            return
        if istart in (11, 12):
            self.kdisk = istart - 10
        else:
            try:
                times = [self.read_restart(f"fort.{k}.nc") for k in (1, 2)]
            except OSError:
                self.stop(255, "FIND_LATER_RSF: ERRORS ON BOTH RESTART FILES")
            later = 2 if times[1] > times[0] else 1
            self.kdisk = later if istart == 10 else 3 - later
        self.read_restart(f"fort.{self.kdisk}.nc")
        print(f"0RESTART DISK READ, UNIT {self.kdisk}, Time={self.itime:11d}")
        if istart > 10:
            self.kdisk = 3 - self.kdisk

    def read_restart(self, name: str) -> int:
        from netCDF4 import Dataset

        with Dataset(name) as file:
            self.itime, self.itime0 = (int(file[key][...]) for key in ("itime", "itime0"))
            self.temp_k, self.total = (float(file[key][...]) for key in ("t", "total"))
        return self.itime

    def write_restart(self, name: str) -> None:
        from netCDF4 import Dataset

        # Made in memory: a kill leaves what it leaves of a model that defines all before it writes.
        file = Dataset(name, "w", format="NETCDF3_64BIT_OFFSET", memory=1)
        with Path(name).open("wb") as out:
            for key, value in (
                ("itime", self.itime),
                ("itime0", self.itime0),
                ("itimee", self.end),
                ("iyear1", self.year1),
                ("nday", self.per_day),
            ):
                file.createVariable(key, "i4", ())[...] = value
            for key, number in (("t", self.temp_k), ("total", self.total)):
                file.createVariable(key, "f8", ())[...] = number
            for section, kind in (("rparam", float), ("iparam", int), ("cparam", str)):
                variable = file.createVariable(section, "i4", ())
                for key, value in self.parameters.items():
                    first = value[0] if isinstance(value, list) else value
                    if isinstance(first, kind):
                        variable.setncattr(key, value if value != "" else " ")
            out.write(file.close())

    def save_restart(self) -> None:
        name = f"fort.{self.kdisk}.nc"
        self.write_restart(name)
        if self.switches.get("torn_restart") == self.itime // self.per_month:
            Path(name).write_bytes(Path(name).read_bytes()[:-20])
            os.kill(os.getpid(), signal.SIGKILL)
        self.say(f"0Restart file written on fort.{self.kdisk}", "Internal clock time")
        self.kdisk = 3 - self.kdisk

    def save_month(self, months: int) -> None:
        sys.path.insert(0, str(TESTS))
        from support_acc import PRECIPITATION_KGM2S, Month, climate, surface, write_acc

        length = self.parameters.get("nmonav", 1)
        first = (months - length) % 12
        letters = [MONTHS[(first + k) % 12] for k in range(length)]
        name = {1: letters[0], 12: "ANN"}.get(length, letters[0][0] + "+" + letters[-1][0])
        year = self.year1 + (months - length) // 12
        mean_k = self.total / (self.itime - self.itime0)
        lost_wm2 = (1 - ALBEDO) * self.flux / 4 + FEEDBACK_WM2K * (
            mean_k - equilibrium_k(self.flux)
        )
        given = {key: one for key, one in self.parameters.items() if key not in ("dtsrc", "plbot")}
        world = climate()
        # "mm/day" of the model's own day, whose sums are kept a step at a time.
        rain = surface(
            PRECIPITATION_KGM2S * self.step_s * self.per_day, units="mm/day", scale=self.per_day
        )
        light = world["aij"]["incsw_toa"].mean * (self.flux / 1000.0)
        month = Month(
            first_step=self.itime0,
            last_step=self.itime,
            step_s=self.step_s,
            steps_per_day=self.per_day,
            radius_m=self.planet["radius"],
            parameters={key: one if one != "" else " " for key, one in given.items()},
            diagnostics=world,
        ).changed(
            "aij",
            prec=rain,
            evap=rain,
            tgrnd=surface(mean_k - 273.15, units="C", counter=3),
            trnf_toa=surface(-lost_wm2, counter=2),
            incsw_toa=type(world["aij"]["incsw_toa"])(light),
            srnf_toa=type(world["aij"]["srnf_toa"])((1 - ALBEDO) * light, counter=2),
        )
        path = Path(f"{name}{year:04d}.acc{self.run}.nc")
        if "slow_file_s" in self.switches:  # until then a sum is there in part
            write_acc(path, month.changed("aij", tgrnd=surface(-100.0, units="C", counter=3)))
            time.sleep(self.switches["slow_file_s"])
        write_acc(path, month)
        self.itime0, self.total = self.itime, 0.0
        every = self.parameters.get("krsf", 0) or (1 if self.parameters.get("kcopy", 0) > 1 else 0)
        if every and months % every == 0:
            year, number = self.year1 + months // 12, months % 12
            self.write_restart(f"1{MONTHS[number]}{year:04d}.rsf{self.run}.nc")

    # ------------------------------------------------------------------ words
    def say(self, what: str, tail: str) -> None:
        year, month, day, hour = self.date()
        print(
            f"{what}{' ' * 10}Year{year:5d} {MONTHS[month]} {day:3d}, Hr{hour:3d}      {tail}:"
            f"{self.itime:8d}",
            flush=True,
        )

    def say_status(self, code: int, text: str) -> None:
        Path("run_status").write_text(f"{code}\n{text}\n")

    def leave(self, code: int, text: str) -> None:
        self.save_restart()
        print(f" PROGRAM TERMINATED NORMALLY - Internal clock time: {self.itime}")
        self.stop(code, text)

    def stop(self, code: int, text: str) -> None:
        print(f"  >>  {text}  <<", flush=True)
        self.say_status(code, text)
        sys.exit(code)

    def misbehave(self) -> None:
        switches, month = self.switches, self.itime // self.per_month
        if switches.get("hang") == month:
            time.sleep(3600)
        if switches.get("month") != month or self.parameters["dt"] <= switches.get("dt_above", 0):
            return
        if switches.get("blow_up") == "sigfpe":
            print("0PRESSURE DIAGNOSTIC     I,J,MRCH=   1   1   2      0.00   1800.00", flush=True)
            print("Program received signal SIGFPE: Floating-point exception", file=sys.stderr)
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGFPE)
        if switches.get("blow_up") == "hot":
            print(" PBL: Ts bad at          35          13  itype           1   427.67", flush=True)
            Path("fort.99").write_text(
                " SDRAG:  56  31  11   9  T,U,V=    395.52    117.66  -92.74\n"
            )
            self.stop(11, "Stopped in ATMDYN::SDRAG")


if __name__ == "__main__" and sys.argv[1:2] == ["--build"]:
    build(*map(Path, sys.argv[2:5]))
