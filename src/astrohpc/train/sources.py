"""Where samples come from: a store of ours, or arrays in a folder. Both fill the same batches.

A batch is a dict: ``params`` [B, P] and ``fields`` [B, C, …], float32, and ``length`` [B] where samples
are of different length. Channels are variables in their order, each with its levels.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from astrohpc.errors import ConfigError
from astrohpc.files import digest
from astrohpc.settings import suggest
from astrohpc.store.journal import read_journal
from astrohpc.store.plan import MEMBER
from astrohpc.store.reader import Store
from astrohpc.store.schema import META
from astrohpc.store.stored import StoredArray
from astrohpc.store.weights import weighting
from astrohpc.train.about import About, about_arrays, about_store
from astrohpc.train.plan import Indices
from astrohpc.train.settings import DataSettings

Batch = dict[str, torch.Tensor]
_PIECES, _PIECE = 64, 2**16  # of a large file, that its digest is made of


class Source(Protocol):
    """Samples by number, from 0; those that are held out stand behind those to train on."""

    @property
    def count(self) -> int:
        """How many there are to train on."""

    @property
    def held_out(self) -> int:
        """How many are never trained on."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""

    @property
    def channels(self) -> Mapping[str, slice]:
        """By variable."""

    @property
    def area(self) -> NDArray[np.float64]:
        """The share of each cell of a map, of mean one."""

    @property
    def shards(self) -> Indices | None:
        """In which file each sample lies, where that matters."""

    @property
    def lengths(self) -> Indices | None:
        """How long each sample is, where they differ."""

    @property
    def about(self) -> About:
        """What its numbers are, for people."""

    @property
    def digest(self) -> str:
        """What the data are; ranks must agree on it, and a resumed run with the one before."""

    def room(self, count: int, *, pinned: bool) -> Batch:
        """Memory for a batch."""

    def read(self, samples: Indices, out: Batch) -> Batch:
        """Fill a batch; what is returned lies in ``out``, cut to what there is."""

    def all_params(self) -> NDArray[np.float64]:
        """The inputs of all members to train on: [member, P]."""


def open_source(settings: DataSettings, seed: int, base: Path) -> Source:
    """The source that settings name; ConfigError where it is none."""
    if not settings.source:
        raise ConfigError(
            "data.source: it is empty; name a store that 'launch convert' made, or a folder with "
            "params.npy and fields.npy."
        )
    path = (base / Path(settings.source).expanduser()).absolute()
    if (path / META).is_file():
        if settings.tokens:
            raise ConfigError(
                f"data.tokens: {path} is a store, in which all samples are of one length; use batch."
            )
        return StoreSource(path, settings, seed)
    if (path / "params.npy").is_file() and (path / "fields.npy").is_file():
        return ArraySource(path, settings)
    raise ConfigError(
        f"data.source: {path} is neither a store that 'launch convert' made, nor a folder with params.npy "
        "and fields.npy."
    )


def _parted(members: int, share: float, seed: int) -> tuple[Indices, Indices]:
    """Members to train on and held out, the same for everybody."""
    out = min(members - 1, max(1, round(share * members))) if share else 0
    order = np.random.default_rng([seed, 0x6E1D]).permutation(members)
    return np.sort(order[out:]), np.sort(order[:out])


class StoreSource:
    """All (member, time) of a store; members are held out as a whole."""

    lengths: Indices | None = None

    def __init__(self, path: Path, settings: DataSettings, seed: int) -> None:
        self.store = Store.open(path, threads=settings.threads)
        self._arrays = self._chosen(settings.variables)
        first = self._arrays[0]
        self._cells = _cells(first)
        self.channels: dict[str, slice] = {}
        end = 0
        for one in self._arrays:
            begin, end = end, end + (1 if one.vertical is None else one.own[0])
            self.channels[one.name] = slice(begin, end)
        self.area = weighting(self.store, first).area[0].reshape(self._cells)
        self.inputs, self._params = self._planets(settings.inputs)
        train, out = _parted(self.store.members, settings.held_out, seed)
        times = np.arange(self.store.times)
        self._samples = np.concatenate(
            [
                np.stack(np.meshgrid(part, times, indexing="ij"), -1).reshape(-1, 2)
                for part in (train, out)
            ]
        )
        self._train = train
        self.count, self.held_out = len(train) * len(times), len(out) * len(times)
        shape = dict(zip(("member", "time"), self._arrays[0].shard or (), strict=False))
        per_member = shape.get("member", 1) if first.member else 1
        per_time = (first.shard or (1, 1))[int(first.member)] if first.time and first.shard else 1
        along = -(-self.store.times // per_time)
        here = self._samples[: self.count]
        self.shards: Indices = here[:, 0] // per_member * along + here[:, 1] // per_time

    @cached_property
    def about(self) -> About:
        """What its numbers are, for people."""
        return about_store(self.store.path, list(self.channels), self._samples)

    @cached_property
    def digest(self) -> str:
        """Of what every shard was made, and of what was chosen."""
        made = {f"{key}": done.digest for key, done in read_journal(self.store.path).items()}
        chosen = [list(self.channels), list(self.inputs), self._params.tolist()]
        return digest([made, chosen])

    def room(self, count: int, *, pinned: bool) -> Batch:
        """Memory for a batch."""
        channels = max(part.stop for part in self.channels.values())
        return {
            "params": torch.empty((count, len(self.inputs)), pin_memory=pinned),
            "fields": torch.empty((count, channels, *self._cells), pin_memory=pinned),
        }

    def read(self, samples: Indices, out: Batch) -> Batch:
        """Decode samples straight to where they belong."""
        rows = self._samples[samples]
        found = {name: tensor[: len(rows)] for name, tensor in out.items()}
        found["params"].copy_(torch.from_numpy(self._params[rows[:, 0]]))
        fields = found["fields"].numpy()
        direct, converted = {}, []
        for one in self._arrays:
            room = fields[:, self.channels[one.name]].reshape(len(rows), *one.own)
            if one.meant == np.float32 and np.shares_memory(room, fields):
                direct[one.name] = room
            else:
                converted.append(one.name)
        self.store.batch(rows, list(direct), out=direct)
        for name, values in self.store.batch(rows, converted).items():
            fields[:, self.channels[name]] = values.reshape(len(rows), -1, *self._cells)
        return found

    def all_params(self) -> NDArray[np.float64]:
        """The inputs of all members to train on: [member, P]."""
        return self._params[self._train]

    def _chosen(self, wanted: Sequence[str]) -> list[StoredArray]:
        arrays = self.store.arrays
        maps = [one for one in map(arrays.get, self.store.variables) if one and _is_field(one)]
        if wanted:
            for name in wanted:
                if name not in arrays:
                    raise ConfigError(
                        f"data.variables: {self.store.path} has no {name!r}"
                        f"{suggest(name, [m.name for m in maps])}"
                    )
            maps = [arrays[name] for name in wanted]
        if not maps:
            raise ConfigError(
                f"data.source: {self.store.path} has no field that depends on time or member; convert some."
            )
        odd = [one for one in maps if not _is_field(one) or _cells(one) != _cells(maps[0])]
        if odd and wanted:
            raise ConfigError(
                f"data.variables: {odd[0].name} is no field on the grid of {maps[0].name}; choose variables "
                "of one grid."
            )
        return [one for one in maps if _cells(one) == _cells(maps[0])]

    def _planets(self, wanted: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        known = {
            name.removeprefix("planet_"): self.store.coordinate(name).astype(np.float64)
            for name, one in self.store.arrays.items()
            if name.startswith("planet_") and one.dims == (MEMBER,) and one.dtype.kind in "iuf"
        }
        names = list(wanted) or [name for name, values in known.items() if np.ptp(values) > 0]
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"data.inputs: {self.store.path} says no {name!r} of its planets{suggest(name, known)}"
                )
        if not names:
            raise ConfigError(
                f"data.inputs: nothing differs between the planets of {self.store.path}; convert a sweep."
            )
        values = np.column_stack([known[name] for name in names])
        for name, column in zip(names, values.T, strict=True):
            if not np.isfinite(column).all():
                raise ConfigError(
                    f"data.inputs: {name} is not known of every member of {self.store.path}; leave it out."
                )
        return tuple(names), values


def _is_field(one: StoredArray) -> bool:
    """Numbers on a line or map of cells, with levels first where there are any."""
    levels_first = one.vertical in (None, one.lead)
    return levels_first and len(_cells(one)) in (1, 2) and one.meant.kind == "f" and one.lead > 0


def _cells(one: StoredArray) -> tuple[int, ...]:
    return one.own if one.vertical is None else one.own[1:]


class ArraySource:
    """Two arrays in a folder, a sample a row: ``params.npy`` [N, P] and ``fields.npy`` [N, C, …].

    ``names.json`` may say how inputs and channels are called, in which units channels are, and where the
    data come from (``{"inputs": […], "channels": […], "units": […], "source": "…"}``); pictures of a source
    that says synthetic are marked so. ``lengths.npy`` [N] says how much of the last axis of ``fields`` each
    sample fills.
    """

    def __init__(self, path: Path, settings: DataSettings) -> None:
        self.path = path
        self._params, self._fields = (
            _mapped(path / f"{name}.npy") for name in ("params", "fields")
        )
        if (
            self._params.ndim != 2
            or self._fields.ndim < 2
            or len(self._params) != len(self._fields)
        ):
            raise ConfigError(
                f"data.source: {path} has params of shape {self._params.shape} and fields of "
                f"{self._fields.shape}; save [N, P] and [N, C, …] of the same N."
            )
        whole = len(self._params)
        self.held_out = (
            min(whole - 1, max(1, round(settings.held_out * whole))) if settings.held_out else 0
        )
        self.count = whole - self.held_out
        self.shards: Indices | None = None
        lengths = path / "lengths.npy"
        self.lengths: Indices | None = None
        if lengths.is_file():
            self.lengths = np.asarray(_mapped(lengths), np.int64)
            fits = self.lengths.shape == (whole,) and self.lengths.min() > 0
            if not fits or self.lengths.max() > self._fields.shape[-1]:
                raise ConfigError(
                    f"data.source: {lengths} must have a length for each of {whole} samples, from 1 to "
                    f"{self._fields.shape[-1]}."
                )
        if settings.tokens and self.lengths is None:
            raise ConfigError(
                f"data.tokens: {path} has no lengths.npy, so all samples are of one length; use batch."
            )
        self.area = np.ones(self._fields.shape[2:])
        said = self._said()
        self.inputs, names = tuple(said["inputs"]), said["channels"]
        self._units, self._words = said["units"], said["source"]
        self.channels = {name: slice(i, i + 1) for i, name in enumerate(names)}

    @cached_property
    def about(self) -> About:
        """What its numbers are, for people."""
        return about_arrays(list(self.channels), self._units, self._words, self._fields.shape[2:])

    @cached_property
    def digest(self) -> str:
        """Of the sizes and of pieces from all over the files."""
        return digest([_sampled(path) for path in sorted(self.path.glob("*.npy"))])

    def room(self, count: int, *, pinned: bool) -> Batch:
        """Memory for a batch."""
        shapes = {"params": self._params.shape[1:], "fields": self._fields.shape[1:]}
        found = {
            name: torch.empty((count, *shape), pin_memory=pinned) for name, shape in shapes.items()
        }
        if self.lengths is not None:
            found["length"] = torch.empty(count, dtype=torch.int64, pin_memory=pinned)
        return found

    def read(self, samples: Indices, out: Batch) -> Batch:
        """Copy samples; where lengths differ, no more of the last axis than the longest has."""
        found = {name: tensor[: len(samples)] for name, tensor in out.items()}
        found["params"].numpy()[...] = self._params[samples]
        if self.lengths is not None:
            lengths = self.lengths[samples]
            found["length"].numpy()[...] = lengths
            found["fields"] = found["fields"][..., : int(lengths.max())]
            found["fields"].numpy()[...] = self._fields[samples][..., : int(lengths.max())]
        else:
            found["fields"].numpy()[...] = self._fields[samples]
        return found

    def all_params(self) -> NDArray[np.float64]:
        """The inputs of all samples to train on: [sample, P]."""
        return np.asarray(self._params[: self.count], np.float64)

    def _said(self) -> dict[str, Any]:
        """What names.json says, and what stands where it says nothing."""
        inputs, channels = self._params.shape[1], self._fields.shape[1]
        said: dict[str, Any] = {
            "inputs": [f"input_{i}" for i in range(inputs)],
            "channels": [f"channel_{i}" for i in range(channels)],
            "units": [""] * channels,
            "source": "",
        }
        try:
            said |= json.loads((self.path / "names.json").read_text())
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"data.source: {self.path}/names.json cannot be read ({error}); mend it or remove it."
            ) from error
        if len(said["inputs"]) != inputs or len(set(said["channels"])) != channels:
            raise ConfigError(
                f"data.source: {self.path}/names.json must name {inputs} inputs and {channels} channels, "
                "each once."
            )
        if len(said["units"]) != channels:
            raise ConfigError(
                f"data.source: {self.path}/names.json has {len(said['units'])} units for {channels} "
                "channels; write one for each."
            )
        return said


def _mapped(path: Path) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"data.source: {path} cannot be read ({error}); save it again with numpy.save."
        ) from error
    return found


def _sampled(path: Path) -> list[object]:
    size = path.stat().st_size
    seen = hashlib.sha256()
    with path.open("rb") as file:
        for place in np.unique(np.linspace(0, max(0, size - _PIECE), _PIECES).astype(np.int64)):
            file.seek(int(place))
            seen.update(file.read(_PIECE))
    return [path.name, size, seen.hexdigest()]
