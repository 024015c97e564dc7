"""The end of a member: its last years as canonical output, checked, and the few numbers of a table."""

from collections.abc import Sequence

from astrohpc.engines.conformance import check_conformance
from astrohpc.engines.rocke3d import memberfiles as files
from astrohpc.engines.rocke3d.harvest import harvest
from astrohpc.engines.rocke3d.inputfile import InputFile
from astrohpc.engines.rocke3d.makeinput import asked_parameters
from astrohpc.engines.rocke3d.memberfiles import Member, Record
from astrohpc.engines.rocke3d.series import Row, mean
from astrohpc.engines.rocke3d.settings import Rocke3dSettings
from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome, Verdict

_SHOWN = 3  # problems of an output that a sentence names


def finish(
    member: Member,
    run_input: InputFile,
    settings: Rocke3dSettings,
    window: Sequence[Row],
    converged: bool,
    remedies: int,
) -> Verdict:
    """Harvest the rows of ``window`` and record the end; BAD_CONFIG where they are not what was asked."""
    target = member.folder / files.CLIMATE
    numbers = _summary(window, converged, remedies)
    try:
        harvest(
            [member.run / row.file for row in window],
            member.planet,
            target,
            asked=asked_parameters(run_input, steps=not remedies),
            attributes=numbers,
        )
    except ConfigError as error:
        return Verdict(Outcome.BAD_CONFIG, str(error))
    problems = check_conformance(target)
    if problems:
        target.unlink()
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        return Verdict(Outcome.BAD_CONFIG, " ".join(problems[:_SHOWN]) + more)
    years = window[-1].model_year
    reason = (
        f"equilibrium at model year {years:.4g}"
        if converged
        else f"no equilibrium within {years:.4g} model years; max_years allows no more"
    )
    verdict = Verdict(Outcome.DONE, reason)
    files.save_record(
        member.folder,
        Record(
            member.digest,
            verdict,
            numbers,
            files.climate_size(member.folder),
            converged,
            settings.max_years,
        ),
    )
    return verdict


def _summary(window: Sequence[Row], converged: bool, remedies: int) -> dict[str, float | str]:
    light = sum(row.starlight_wm2 * row.length_s for row in window)
    sent_back = sum(row.planetary_albedo * row.starlight_wm2 * row.length_s for row in window)
    return {
        "surface_temperature_k": mean(window, "surface_temperature_k"),
        "toa_balance_wm2": mean(window, "toa_balance_wm2"),
        "planetary_albedo": sent_back / light,
        "converged": "true" if converged else "false",
        "model_years": window[-1].model_year,
        "remedies": float(remedies),
    }
