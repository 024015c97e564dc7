"""hydra composes; what it says of a mistake becomes one sentence."""

import importlib.resources
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from astrohpc.errors import ConfigError
from astrohpc.outcome import Outcome
from astrohpc.settings import suggest


def compose(
    overrides: Sequence[str], config_dir: str | None = None, runs: Path | None = None
) -> dict[str, Any]:
    """Compose the configuration of a sweep; ``runs=`` wins over ``runs``."""
    written = compose_root("config", overrides, config_dir)
    for group in ("sweep", "engine", "site", "allocation", "policy"):
        if not isinstance(written.get(group), dict):
            raise ConfigError(f"{group}: this group is needed; choose an option, as {group}=NAME.")
    if runs is not None and not any(override.startswith("runs=") for override in overrides):
        written["runs"] = str(runs)
    return _locate(written)


def compose_root(
    root: str, overrides: Sequence[str], config_dir: str | None = None
) -> dict[str, Any]:
    """Compose what one file of configs/ is the root of, and resolve it to plain values.

    ``config_dir`` is a folder of the user's own with the same groups: ``site/mine.yaml`` there is
    ``site=mine`` here.
    """
    from hydra import compose as hydra_compose  # noqa: PLC0415 - `status` and `watch` do without hydra
    from hydra import initialize_config_dir  # noqa: PLC0415
    from hydra.errors import HydraException  # noqa: PLC0415
    from omegaconf import OmegaConf  # noqa: PLC0415
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415

    own = importlib.resources.files("astrohpc.configs")
    more = []
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise ConfigError(
                f"--config-dir: {config_dir} is not a folder; name the one with your groups."
            )
        more = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]
    more += [_forced(override, own) for override in overrides]
    try:
        with initialize_config_dir(config_dir=str(own), version_base="1.3", job_name="astrohpc"):
            composed = hydra_compose(root, overrides=more)
        written = OmegaConf.to_container(composed, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_sentence(str(error), overrides, own)) from error
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"--config-dir: {problem}; mend that file.") from error
    assert isinstance(written, dict)
    return {str(key): value for key, value in written.items()}


def _locate(written: dict[str, Any]) -> dict[str, Any]:
    """Make paths absolute: a saved configuration must mean the same from any folder."""
    if not written["runs"]:
        raise ConfigError("runs: it is empty; name the folder where sweeps live, as runs=runs.")
    written["runs"] = str(Path(str(written["runs"])).expanduser().absolute())
    table = written["sweep"].get("file")
    if table:
        written["sweep"]["file"] = str(Path(table).expanduser().absolute())
    command = written["engine"].get("command")
    if isinstance(command, list):
        written["engine"]["command"] = [_word(i, word) for i, word in enumerate(command)]
    return written


def _word(position: int, word: object) -> object:
    """A word of a program's command: absolute where it names a file, for jobs run in other folders."""
    if not isinstance(word, str) or (position == 0 and "/" not in word):  # found by PATH
        return word
    path = Path(word).expanduser() if word.startswith("~") else Path(word)
    return str(path.absolute()) if path.is_file() or position == 0 else word


def _sentence(message: str, overrides: Sequence[str], own: Any) -> str:
    """One sentence for hydra's several lines."""
    missing = re.search(r"Could not find '([\w-]+)/([^']+)'", message)
    if missing:
        group, option = missing.groups()
        known = re.findall(r"^\t(\S+)$", message, flags=re.MULTILINE)
        return f"{group}: there is no {option!r}{suggest(option, known)}"
    key = re.search(r"Could not override '([^']+)'", message)
    if key:
        group, _, rest = key[1].partition(".")
        if not rest:
            known = [
                path.name for path in own.iterdir() if path.is_dir() and path.name[0] not in "_."
            ]
            if group in known:
                return f"{group}: this is a group; write {group}=OPTION, and {group}.KEY=VALUE for more."
            return f"{key[1]}: there is no such group or setting{suggest(group, [*known, 'runs', 'share'])}"
        wrong, known = rest.partition(".")[0], _settings(group, own)
        if key[1].startswith("policy.rules."):
            wrong, known = rest.split(".")[1], [str(outcome) for outcome in Outcome]
        return f"{key[1]}: there is no such setting{suggest(wrong, known)}"
    odd = next((text for text in overrides if not text.isascii()), None)
    if "LexerNoViableAlt" in message and odd is not None:
        field, _, value = odd.partition("=")
        if field == "sweep.name":
            return (
                f"sweep.name: {value!r} has letters other than a to z; "
                "use those, digits, '.', '_' and '-'."
            )
        if field.isascii():
            return (
                f"{odd}: such letters must stand within quotes, which the shell must not take away; "
                f"write \"{field}='{value}'\"."
            )
        return f"{field}: there is no such group or setting; their names are plain letters."
    first = message.strip().splitlines()[0] if message.strip() else "hydra cannot compose this"
    bad = next((text for text in overrides if "=" not in text), None)
    if bad is not None:
        return f"{bad!r}: this is not an override; write group=option or key=value."
    return f"{' '.join(overrides)}: {first}; write group=option or key=value, lists as [a,b]."


def _settings(group: str, own: Any) -> list[str]:
    """Return the settings that a group knows, whether its files mention them or not."""
    if group == "augment":  # its bounds need numba, for which other commands do not wait
        from astrohpc.augment.policy import Policy as Augmentation  # noqa: PLC0415

        return [field.name for field in fields(Augmentation)]
    if group == "evaluate":  # scipy
        from astrohpc.evaluate.settings import EvaluateSettings  # noqa: PLC0415

        return [field.name for field in fields(EvaluateSettings)]
    from astrohpc.models.settings import KINDS  # noqa: PLC0415
    from astrohpc.slurm.request import Allocation, Site  # noqa: PLC0415
    from astrohpc.store.settings import StoreSettings  # noqa: PLC0415
    from astrohpc.sweep.design import Design  # noqa: PLC0415
    from astrohpc.sweep.policy import Policy  # noqa: PLC0415
    from astrohpc.train.settings import TrainSettings  # noqa: PLC0415

    kinds: Mapping[str, type] = {
        "site": Site,
        "allocation": Allocation,
        "sweep": Design,
        "policy": Policy,
        "store": StoreSettings,
        "train": TrainSettings,
    }
    if group == "model":
        return sorted({field.name for kind in KINDS.values() for field in fields(kind)})
    if group in kinds:
        return [field.name for field in fields(kinds[group])]
    text = (own / "engine" / "ebm.yaml").read_text() if group == "engine" else ""
    return re.findall(r"^(\w+):", text, flags=re.MULTILINE)


def _forced(override: str, own: Any) -> str:
    """Let a setting be set that its group knows and this option's file does not mention.

    hydra wants a '+' for such a key, and no '+' for one that is mentioned; a person need not know which.
    """
    if override.startswith("engine.settings."):  # of a program of the user's own: it knows them
        return f"++{override}"
    key = re.match(
        r"(augment|site|allocation|policy|sweep|store|train|model|evaluate)\.(\w+)((?:\.\w+)*)=",
        override,
    )
    free = key and key[2] in _settings(key[1], own) and (key[1], key[2]) != ("policy", "rules")
    return f"++{override}" if free else override
