"""What an HDF5 file holds, with the names that the netCDF library would give, from its headers alone.

NetCDF-4 files are HDF5 files with conventions: dimension scales are dimensions, private attributes
carry their numbers. Plain HDF5 has none of it; its axes become ``phony_dim_0`` and so on. Links to
other files and data in other files are named as such and never followed.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5o, h5p, h5r, h5s, h5t

from astrohpc.store.fill import fill_of
from astrohpc.store.hdf5_layout import (
    NoLayout,
    filters_of,
    layout_of,
    needs_netcdf,
    storable,
    user_fill,
)
from astrohpc.store.hdf5_types import (
    Type,
    Unstorable,
    attribute_names,
    enumeration_attributes,
    public,
    read_attribute,
    type_of,
)
from astrohpc.store.source import BadSource, Dimension, Layout, Variable

# What h5py raises when a file is not what it says; it has no error of its own.
FAILURES = (OSError, RuntimeError, ValueError, LookupError, TypeError, ArithmeticError)
DEPTH_LIMIT = 64

_NOT_A_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
NON_COORDINATE = "_nc4_non_coord_"
_HARD, _SOFT = 0, 1  # H5L_type_t
_CREATION, _NAME = 1, 0  # H5_index_t


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds, without the file."""

    dimensions: dict[str, Dimension]
    variables: tuple[Variable, ...]
    attrs: dict[str, Any]
    group_attrs: dict[str, dict[str, Any]]
    unstorable: dict[str, str]


@dataclass(eq=False)
class _Axis:
    """A dimension while it is being found out about."""

    path: str
    size: int
    unlimited: bool
    reach: int = 0  # the largest extent of any variable along it


@dataclass(eq=False)
class _Dataset:
    path: str
    dsid: Any
    address: int
    extent: tuple[int, ...]
    limits: tuple[int | None, ...]
    dcpl: Any  # its creation property list
    filters: list[int]
    names: list[str]  # of all its attributes
    axis: _Axis | None = None  # if it is a dimension scale
    hidden: bool = False  # a dimension and no variable
    axes: list[_Axis] = field(default_factory=list)


@dataclass(eq=False)
class _Group:
    path: str
    gid: Any
    order: dict[str, int] = field(default_factory=dict)  # of all that is in it, by path
    datasets: list[_Dataset] = field(default_factory=list)
    groups: list["_Group"] = field(default_factory=list)
    axes: list[_Axis] = field(default_factory=list)

    def sort(self) -> None:
        """Datasets as the file has them, links among them."""
        self.datasets.sort(key=lambda one: self.order[one.path])


def read_contents(path: Path, size: int, base: int) -> Contents:
    """Read all headers; ``base`` is where the HDF5 part begins, which is almost always 0."""
    try:
        with _Open(path) as file:
            return _Scan(path, file, size, base).contents()
    except BadSource:
        raise
    except FAILURES as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: object, what: str = "") -> BadSource:
    """The sentence for what the library cannot make sense of."""
    text = " ".join(str(error).split())
    return BadSource(
        f"{path}: {what or 'it'} is damaged or was cut short ({text}): fetch it again or continue the "
        "run from its last restart."
    )


class _Open:
    """An HDF5 file open for reading."""

    def __init__(self, path: Path) -> None:
        self.file = h5f.open(str(path).encode(), h5f.ACC_RDONLY)

    def __enter__(self) -> Any:
        return self.file

    def __exit__(self, *_: object) -> None:
        self.file.close()


class _Scan:
    def __init__(self, path: Path, file: Any, size: int, base: int) -> None:
        self.path, self.file, self.size, self.base = path, file, size, base
        self.unstorable: dict[str, str] = {}
        self.by_address: dict[int, _Axis] = {}
        self.by_number: dict[int, _Axis] = {}
        self.next_number = 0
        self.seen: set[int] = set()
        self.links: list[tuple[_Group, str, str]] = []
        self.at = ""  # what is being looked at, for the sentence if it fails

    def contents(self) -> Contents:
        try:
            return self._contents()
        except BadSource as error:
            raise BadSource(f"{self.path}: {self.at} {error}: fetch it again.") from error
        except (*FAILURES, MemoryError) as error:
            raise damaged(self.path, error, self.at) from error

    def _contents(self) -> Contents:
        root = _Group("", h5g.open(self.file, b"/"))
        self.seen.add(h5o.get_info(root.gid).addr)
        self._walk(root, 0)
        self._follow_links(root)
        self._name_axes(root)
        groups = _flat(root)
        variables: list[Variable] = []
        for group in groups:
            for one in group.datasets:
                if not one.hidden:
                    self.at = one.path
                    self._add(variables, one)
        return Contents(
            dimensions={
                axis.path: Dimension(_length(axis), axis.unlimited)
                for group in groups
                for axis in group.axes
            },
            variables=tuple(variables),
            attrs=self._attributes(root.gid, "", _names(root.gid)),
            group_attrs={
                group.path: self._attributes(group.gid, group.path, _names(group.gid))
                for group in groups[1:]
            },
            unstorable=self.unstorable,
        )

    def _walk(self, group: _Group, depth: int) -> None:
        """Find datasets and groups in the library's order: a group's datasets, then its groups."""
        self.at = group.path or "its root"
        if depth > DEPTH_LIMIT:
            raise BadSource(f"has groups nested more than {DEPTH_LIMIT} deep")
        found: list[tuple[str, int, int]] = []

        def note(name: bytes, info: Any) -> None:
            found.append((name.decode(), info.type, info.u))

        tracked = group.gid.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED
        group.gid.links.iterate(note, info=True, idx_type=_CREATION if tracked else _NAME)
        for name, kind, address in found:
            path = f"{group.path}/{name}" if group.path else name
            self.at = path
            group.order[path] = len(group.order)
            if kind == _SOFT:
                self.links.append((group, name, group.gid.links.get_val(name.encode()).decode()))
            elif kind != _HARD:
                where = " in ".join(
                    part.decode(errors="replace")
                    for part in reversed(group.gid.links.get_val(name.encode()))
                )
                self.unstorable[path] = (
                    f"is a link to another file ({where}), which is not followed"
                )
            else:
                self._enter(group, name, path, address)
        for child in group.groups:
            self._walk(child, depth + 1)

    def _enter(self, group: _Group, name: str, path: str, address: int) -> None:
        thing = h5o.open(group.gid, name.encode())
        if isinstance(thing, h5d.DatasetID):
            self._dataset(group, path, thing, address)
        elif isinstance(thing, h5g.GroupID):
            if address in self.seen:
                self.unstorable[path] = (
                    "is a second link to a group that is stored under its own name"
                )
            else:
                self.seen.add(address)
                group.groups.append(_Group(path, thing))

    def _dataset(self, group: _Group, path: str, dsid: Any, address: int) -> None:
        space = dsid.get_space()
        if space.get_simple_extent_type() == h5s.NULL:
            self.unstorable[path] = "is declared without any values"
            return
        extent = space.get_simple_extent_dims()
        limits = space.get_simple_extent_dims(True) if extent else ()
        limits = tuple(None if limit in {None, h5s.UNLIMITED} else limit for limit in limits)
        dcpl = dsid.get_create_plist()
        filters, names = filters_of(dcpl), attribute_names(dsid, dcpl)
        one = _Dataset(path, dsid, address, extent, limits, dcpl, filters, names)
        group.datasets.append(one)
        if "CLASS" not in one.names or read_attribute(dsid, "CLASS") != "DIMENSION_SCALE":
            return
        if not extent:
            return  # a scalar scales nothing
        if "NAME" in one.names:
            one.hidden = str(read_attribute(dsid, "NAME")).startswith(_NOT_A_VARIABLE)
        one.axis = self.by_address.get(address)
        if one.axis is not None:
            return  # a second name of the same dataset is no second dimension
        one.axis = _Axis(path, extent[0], limits[0] is None)
        group.axes.append(one.axis)
        self.by_address[address] = one.axis
        number = self.next_number
        if "_Netcdf4Dimid" in one.names:
            number = int(read_attribute(dsid, "_Netcdf4Dimid"))
        self.by_number.setdefault(number, one.axis)
        self.next_number = max(self.next_number, number + 1)

    def _follow_links(self, root: _Group) -> None:
        """Soft links to datasets of this file are further names of them, as the library has it."""
        known = {one.path: one for group in _flat(root) for one in group.datasets}
        for group, name, target in self.links:
            path = f"{group.path}/{name}" if group.path else name
            wanted = target.strip("/") if target.startswith("/") else f"{group.path}/{target}"
            there = known.get(wanted.strip("/"))
            if there is None:
                self.unstorable[path] = f"is a link to {target}, which is no variable of this file"
            elif not there.hidden:
                group.datasets.append(replace(there, path=path, axes=[]))
                group.sort()

    def _name_axes(self, group: _Group) -> None:
        """Give each dataset its dimensions; the library numbers phony ones from the deepest group up."""
        for child in group.groups:
            self._name_axes(child)
        for one in group.datasets:
            self.at = one.path
            found = self._numbered(one) or self._attached(one)
            for i, axis in enumerate(found):
                length, unlimited = one.extent[i], one.limits[i] is None
                if axis is None or not (axis.unlimited or axis.size == length):
                    axis = self._phony(group, one.axes, length, unlimited)  # noqa: PLW2901
                axis.reach = max(axis.reach, length)
                one.axes.append(axis)

    def _numbered(self, one: _Dataset) -> list[_Axis | None]:
        """Axes from the numbers that the netCDF library wrote, empty if it wrote none."""
        if "_Netcdf4Coordinates" not in one.names:
            return []
        numbers = read_attribute(one.dsid, "_Netcdf4Coordinates")
        numbers = numbers if isinstance(numbers, list) else [numbers]
        found = [self.by_number.get(number) for number in numbers]
        return found if len(found) == len(one.extent) and None not in found else []

    def _attached(self, one: _Dataset) -> list[_Axis | None]:
        """Axes from the scales that are attached to each axis."""
        if one.axis is not None and len(one.extent) == 1:
            return [one.axis]
        found: list[_Axis | None] = [None] * len(one.extent)
        if one.axis is not None:
            found[0] = one.axis
        if "DIMENSION_LIST" not in one.names:
            return found
        lists = _references(one.dsid)
        for i, scales in enumerate(lists[: len(found)]):
            for reference in scales:  # the library takes the last one
                if isinstance(reference, h5r.Reference) and reference:
                    scale = h5r.dereference(reference, self.file)
                    found[i] = self.by_address.get(h5o.get_info(scale).addr, found[i])
        return found

    def _phony(self, group: _Group, taken: list[_Axis], length: int, unlimited: bool) -> _Axis:
        """A dimension of this length that this variable does not yet use, made if there is none."""
        for axis in group.axes:
            same = axis.unlimited == unlimited and axis.size == length
            if same and not any(axis is other for other in taken):
                return axis
        name = f"phony_dim_{self.next_number}"
        self.next_number += 1
        axis = _Axis(f"{group.path}/{name}" if group.path else name, length, unlimited)
        group.axes.append(axis)
        return axis

    def _add(self, variables: list[Variable], one: _Dataset) -> None:
        path = one.path
        head, _, name = path.rpartition("/")
        if name.startswith(NON_COORDINATE):
            name = name.removeprefix(NON_COORDINATE)
            path = f"{head}/{name}" if head else name
        try:
            kind = type_of(one.dsid.get_type())
            storable(one.dcpl, one.filters, one.extent)
        except Unstorable as why:
            self.unstorable[path] = str(why)
            return
        attrs = self._attributes(one.dsid, path, one.names, scale=one.axis is not None)
        for key, value in enumeration_attributes(kind).items():
            attrs.setdefault(key, value)
        shape = tuple(_length(axis) for axis in one.axes)
        fill = fill_of(attrs.get("_FillValue"), kind.dtype)
        if fill is None:
            fill = user_fill(one.dcpl, kind)
        layout, why_library = self._layout(one, kind, shape, fill)
        variables.append(
            Variable(
                path=path,
                dims=tuple(axis.path for axis in one.axes),
                shape=shape,
                dtype=kind.dtype,
                attrs=attrs,
                fill=fill,
                layout=layout,
                why_library=why_library,
            )
        )

    def _layout(
        self, one: _Dataset, kind: Type, shape: tuple[int, ...], fill: Any
    ) -> tuple[Layout | None, str]:
        try:
            if needs_netcdf(one.filters):
                raise NoLayout("a filter that only netCDF4 knows")
            if self.base:
                raise NoLayout("the file begins with a block of the user's")
            if shape != one.extent:
                raise NoLayout("it was not written as far as its growing dimension reaches")
            return layout_of(one.dsid, one.dcpl, one.filters, kind, shape, fill, self.size), ""
        except NoLayout as why:
            return None, str(why)

    def _attributes(
        self, loc: Any, path: str, names: list[str], *, scale: bool = False
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in public(names, scale=scale):
            try:
                found[name] = read_attribute(loc, name)
            except Unstorable as why:
                self.unstorable[f"{path}:{name}"] = str(why)
        return found


def _references(dsid: Any) -> list[Any]:
    aid = h5a.open(dsid, b"DIMENSION_LIST")
    if aid.get_type().get_class() != h5t.VLEN or math.prod(aid.shape) > 1024:
        return []
    lists = np.empty(aid.shape, aid.dtype)
    aid.read(lists)
    return list(lists.ravel())


def _names(gid: Any) -> list[str]:
    return attribute_names(gid, gid.get_create_plist())


def _length(axis: _Axis) -> int:
    return axis.reach if axis.unlimited else axis.size


def _flat(group: _Group) -> list[_Group]:
    return [group, *(below for child in group.groups for below in _flat(child))]
