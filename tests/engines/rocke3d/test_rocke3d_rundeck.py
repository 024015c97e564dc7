"""Rundecks and ``I`` files: nothing is lost, nothing is misread."""

import math
import re
import string
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_rocke3d import DECK, RUN_INPUT, RUNDECKS, SHARED, needs_failures, needs_rundecks

from astrohpc.engines.rocke3d.inputfile import InputFile
from astrohpc.engines.rocke3d.namelists import ModelDate
from astrohpc.engines.rocke3d.rundeck import Rundeck
from astrohpc.engines.rocke3d.text import Value
from astrohpc.errors import ConfigError

TOY = Rundeck.parse(DECK.encode(), "toy.R")
TOY_INPUT = InputFile.parse(RUN_INPUT.encode())


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [(one, other) for one, other in pairs if one != other]


def refusal(text: str | bytes, file: str = "toy.R") -> str:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigError) as caught:
        Rundeck.parse(data, file)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(file)
    assert message[-1] in ".?"
    return message


@needs_rundecks
def test_every_real_rundeck_comes_back_byte_for_byte() -> None:
    decks = sorted(RUNDECKS.glob("*.R"))
    assert len(decks) >= 8
    for path in decks:
        deck = Rundeck.read(path)
        assert deck.data == path.read_bytes()
        assert deck.parameters
        assert deck.modules
        assert deck.start < deck.end
        # The value that is there already is no change either.
        assert deck.updated(dict(deck.parameters)).ending(deck.end).data == path.read_bytes()


@needs_rundecks
def test_every_real_rundeck_takes_an_edit_that_touches_one_line() -> None:
    for path in RUNDECKS.glob("*.R"):
        before = Rundeck.read(path)
        after = before.updated({"u00A": 0.123})
        assert len(changed_lines(before.data.decode(), after.data.decode())) == 1
        assert Rundeck.parse(after.data).parameters["U00a"] == 0.123


@needs_rundecks
def test_every_real_input_file_comes_back_byte_for_byte() -> None:
    inputs = sorted((SHARED / "gcm").rglob("I"))
    assert inputs
    for path in inputs:
        run_input = InputFile.read(path)
        assert run_input.data == path.read_bytes()
        assert run_input.input_files


@needs_failures
@pytest.mark.parametrize(("folder", "run"), [("modelE_72x46", "AS20"), ("modelE_8x10", "AR12")])
def test_parameters_have_the_values_and_types_that_the_model_stored(folder: str, run: str) -> None:
    """The model's own parser is the judge: its output keeps every parameter, sorted by type."""
    path = SHARED / "gcm" / folder
    stored: dict[type, dict[str, object]] = {}
    with netCDF4.Dataset(path / f"JAN1850.acc{run}.nc") as file:
        for kind, name in ((int, "iparam"), (float, "rparam"), (str, "cparam")):
            variable = file.variables[name]
            stored[kind] = {key: variable.getncattr(key) for key in variable.ncattrs()}
    parameters = InputFile.read(path / "I").parameters
    for name, value in parameters.items():
        if value == "":  # blank text is no attribute
            continue
        values = value if isinstance(value, tuple) else (value,)
        found = stored[type(values[0])][name.lower()]
        if isinstance(found, str):
            assert found.strip() == value
        else:
            assert np.array_equal(np.atleast_1d(found), values)
    assert len(parameters) > 50


def test_a_deck_says_what_it_is_built_from() -> None:
    assert TOY.data == DECK.encode()
    assert TOY.name == "toy"
    assert TOY.options == {"PLANET_PARAMS": "Toy", "NEW_IO": ""}
    assert TOY.run_options == {"STACKSIZE": "524288"}
    assert TOY.modules == ("GRID_A", "LAYERS_B", "ATMDYN", "OTHER")
    assert TOY.components == ("shared", "Ent")
    assert TOY.component_options == {"OPTS_Ent": "ONLINE=YES"}
    assert TOY.data_files == {"AIC": "start.nc", "GHG": "gases.txt"}
    assert TOY.includes == ()


def test_parameters_are_found_in_any_case_and_have_the_model_s_types() -> None:
    assert TOY.parameters["dtSRC"] == 1800.0
    assert TOY.parameters["nisurf"] == 1
    assert isinstance(TOY.parameters["NIsurf"], int)
    assert TOY.parameters["rtau"] == (30000.0, 20000.0, 10000.0)
    assert TOY.parameters["planetName"] == "Toy"
    assert TOY.parameters["CO2X"] == 1.0
    assert len(TOY.parameters) == len(list(TOY.parameters)) == 10
    assert "nothing" not in TOY.parameters


def test_an_edit_keeps_order_comments_and_columns() -> None:
    after = TOY.updated({"dt": 112.5, "planetname": "Other"})
    assert changed_lines(DECK, after.data.decode()) == [
        ("DT=450.          ! dynamics step", "DT=112.5         ! dynamics step"),
        ("planetName='Toy'", "planetName='Other'"),
    ]


def test_a_parameter_that_a_deck_has_twice_is_changed_in_both_places() -> None:
    after = TOY.updated({"KOCEAN": 0})
    assert [new for _, new in changed_lines(DECK, after.data.decode())] == [
        "  KOCEAN = 0     ! slab",
        "KOCEAN=0",
    ]
    assert Rundeck.parse(after.data).parameters["KOCEAN"] == 0


def test_an_added_parameter_stands_before_the_end_and_can_be_removed_again() -> None:
    after = TOY.updated({"NRAD": 2})
    lines = after.data.decode().splitlines()
    assert lines[lines.index("&&END_PARAMETERS") - 1] == "NRAD=2"
    assert after.without("nrad").data == TOY.data
    with pytest.raises(ConfigError, match="NRAD: it is not among the parameters"):
        TOY.without("NRAD")


def test_options_and_input_files_of_a_deck_can_be_changed() -> None:
    after = TOY.with_option("PLANET_PARAMS", "Elsewhere").with_data_file("GHG", "GHG.ones.txt")
    assert changed_lines(DECK, after.data.decode()) == [
        (
            "#define PLANET_PARAMS Toy        ! which planet",
            "#define PLANET_PARAMS Elsewhere  ! which planet",
        ),
        ("GHG=gases.txt                    ! gases", "GHG=GHG.ones.txt                 ! gases"),
    ]
    added = TOY.with_option("USE_PLANET_RAD")
    assert Rundeck.parse(added.data).options["USE_PLANET_RAD"] == ""
    with pytest.raises(ConfigError, match="did you mean 'AIC'"):
        TOY.with_data_file("AIX", "x.nc")


def test_dates_of_a_deck_can_be_read_and_moved() -> None:
    assert TOY.start == ModelDate(1)
    assert TOY.end == ModelDate(11)
    assert TOY.cold_end == ModelDate(1, 1, 1, 1)
    after = TOY.ending(ModelDate(21, 7)).starting(ModelDate(2))
    assert changed_lines(DECK, after.data.decode()) == [
        (
            " YEARI=0001,MONTHI=1,DATEI=1,HOURI=0, ! start",
            " YEARI=0002,MONTHI=1,DATEI=1,HOURI=0, ! start",
        ),
        (
            " YEARE=0011,MONTHE=1,DATEE=1,HOURE=0,     KDIAG=12*0,9,",
            " YEARE=0021,MONTHE=7,DATEE=1,HOURE=0,     KDIAG=12*0,9,",
        ),
    ]
    cold = TOY.ending(ModelDate(1, 1, 2), cold=True)
    assert (cold.end, cold.cold_end) == (TOY.end, ModelDate(1, 1, 2))


def test_dates_that_a_file_leaves_out_are_added_where_the_model_reads_them() -> None:
    bare = DECK.replace(",HOURE=1,", ",").replace("DATEE=1,HOURE=0,     ", "")
    deck = Rundeck.parse(bare.encode())
    assert deck.end == ModelDate(11)
    after = deck.ending(ModelDate(12, 2, 3, 4)).ending(ModelDate(1, 1, 1, 2), cold=True)
    again = Rundeck.parse(after.data)
    assert (again.end, again.cold_end) == (ModelDate(12, 2, 3, 4), ModelDate(1, 1, 1, 2))
    assert " ISTART=2,IRANDI=0, YEARE=0001,MONTHE=1,DATEE=1, HOURE=2,\n" in after.data.decode()

    one_line = "toy\n\n&&PARAMETERS\nDT=1.\n&&END_PARAMETERS\n&INPUTZ YEARE=3 /\n"
    moved = InputFile.parse(one_line.encode()).ending(ModelDate(4, 1, 1, 5))
    assert InputFile.parse(moved.data).end == ModelDate(4, 1, 1, 5)
    assert "&INPUTZ YEARE=4, MONTHE=1, DATEE=1, HOURE=5 /" in moved.data.decode()
    assert moved.start is None
    assert moved.cold_end is None
    with pytest.raises(ConfigError, match="YEARE: there is no cold start to change; add a line"):
        moved.ending(ModelDate(1), cold=True)
    split = "toy\n\n&&PARAMETERS\n&&END_PARAMETERS\n&INPUTZ\nYEARE=3\nKDIAG=13*0\n/\n"
    with pytest.raises(ConfigError, match="KDIAG: '13\\*0' is not a whole number"):
        InputFile.parse(split.encode()).namelists.get("KDIAG")


@pytest.mark.parametrize(
    ("date", "sentence"),
    [((1, 13), "month: 13 lies"), ((1, 1, 0), "day: 0 is not"), ((-1,), "year: -1 lies")],
)
def test_a_date_is_one_of_the_model_s_calendar(date: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ModelDate(*date)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DT", math.inf, "DT: inf is not finite"),
        ("DT", (), "DT: an empty list is no value"),
        ("DT", (1, 2.0), "mixes types"),
        ("DT", (1.0,) * 65, "65 values are more than the model's 64"),
        ("DT", True, "DT: True is no value of the model"),
        ("NRAD", 2**31, "NRAD: 2147483648 is too large for an integer; write 2147483648.0."),
        ("SUBDD", "it's", "has a character that the model would misread"),
        ("SUBDD", "a/*b", "which begins a comment"),
        ("SUBDD", "é", "not ASCII"),
        ("SUBDD", "x" * 129, "cuts text at 128 characters and this has 129"),
        ("SUBDD", ("x" * 100,) * 3, "the line has more than the 256 characters"),
        ("no name", 1, "'no name' cannot name a parameter"),
    ],
)
def test_what_the_model_could_not_read_back_is_never_written(
    name: str, value: Value, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        TOY.updated({name: value})


def test_options_and_data_that_the_set_up_could_not_read_are_never_written() -> None:
    with pytest.raises(ConfigError, match="use letters, digits"):
        TOY.with_option("BAD NAME")
    with pytest.raises(ConfigError, match="ModelE's set-up cannot read 'a b'"):
        TOY.with_data_file("AIC", "a b")
    with pytest.raises(ConfigError, match="an empty path is no input file"):
        TOY_INPUT.with_input_file("AIC", " ")
    two = Rundeck.parse(DECK.replace("AIC=start.nc ", "AIC=start.nc GIC=ground.nc ").encode())
    assert two.data_files["GIC"] == "ground.nc"
    after = two.with_data_file("AIC", "other.nc").data_files
    assert (after["AIC"], after["GIC"]) == ("other.nc", "ground.nc")


def test_a_run_s_input_file_chooses_its_restart() -> None:
    assert TOY_INPUT.data == RUN_INPUT.encode()
    assert (TOY_INPUT.run, TOY_INPUT.label) == ("toy", "toy (a label in brackets)")
    assert TOY_INPUT.istart == 10
    earlier = TOY_INPUT.restarting(13)
    assert earlier.istart == 13
    assert InputFile.parse(earlier.data) == earlier
    assert earlier.namelists.get("ISTART", cold=True) == 2
    with pytest.raises(ConfigError, match="ISTART: 3 is no restart; choose from 9 "):
        TOY_INPUT.restarting(3)


def test_a_run_s_input_file_names_its_data_and_label() -> None:
    assert TOY_INPUT.input_files == {"AIC": "/somewhere/start.nc"}
    moved = TOY_INPUT.with_input_file("AIC", "/elsewhere/1JAN0005.rsftoy.nc").labelled(
        "toy (again)"
    )
    assert moved.input_files == {"AIC": "/elsewhere/1JAN0005.rsftoy.nc"}
    assert moved.label == "toy (again)"
    assert InputFile.parse(moved.data) == moved
    with pytest.raises(ConfigError, match=r"label: .* does not fit"):
        TOY_INPUT.labelled("x" * 73)
    with pytest.raises(ConfigError, match="cuts text at 128 characters and this has 200"):
        TOY_INPUT.with_input_file("AIC", "/" * 200)


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    TOY.write(tmp_path / "toy.R")
    assert Rundeck.read(tmp_path / "toy.R").data == DECK.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["toy.R"]


def test_windows_line_ends_survive() -> None:
    data = DECK.replace("\n", "\r\n").encode()
    deck = Rundeck.parse(data)
    assert deck.data == data
    after = deck.updated({"DT": 225.0, "NRAD": 5}).ending(ModelDate(12))
    assert after.data.count(b"\n") == after.data.count(b"\r\n")
    assert Rundeck.parse(after.data).parameters["NRAD"] == 5


def test_bytes_beyond_ascii_survive_in_comments_and_are_refused_elsewhere() -> None:
    data = (
        DECK.encode().replace(b"! slab", b"! \xe9\xff caf\xc3\xa9").replace(b"free text", b"\xa9")
    )
    deck = Rundeck.parse(data)
    assert deck.data == data
    assert deck.updated({"KOCEAN": 0}).updated({"KOCEAN": 1}).data == data
    assert "line 40: the byte 0xc3 is not ASCII" in refusal(DECK.replace("'Toy'", "'Tøy'"))
    assert "line 15: the byte" in refusal(DECK.replace("GRID_A", "GRID_Ä"))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "Components:",
            "Compnents:",
            "line 18: unknown section 'Compnents'; did you mean 'Components'?",
        ),
        (
            "Object modules:",
            "Objet modules:",
            "line 13: unknown section 'Objet modules'; did you mean 'Object modules'?",
        ),
        ("&&PARAMETERS\n", "&&PARAMETER\n", "line 33: unknown section &&PARAMETER; did you mean"),
        (
            "End Preprocessor Options\n",
            "",
            "line 9: 'Preprocessor Options' has not ended; add a line",
        ),
        (
            "\nPreprocessor Options\n",
            "\n",
            "has no beginning; add 'Preprocessor Options' before it.",
        ),
        (
            "Data input files:\n",
            "",
            "there is no section 'Data input files'; add it, even if empty.",
        ),
        (
            "&&END_PARAMETERS\n",
            "",
            "line 47: &INPUTZ stands where &&END_PARAMETERS is missing; add",
        ),
        (
            " &INPUTZ\n",
            " &INPUTS\n",
            "line 48: unknown section &INPUTS; after &&END_PARAMETERS come",
        ),
        ("/\nNotes", "\nNotes", "&INPUTZ does not end, so the file may be cut short"),
        (
            "KOCEAN=1\n",
            "kocean=0\n",
            "line 42: kocean: it is 0 here and 1 in line 38, and the model takes",
        ),
        (
            "DT=450. ",
            "DT=abc ",
            "line 36: DT: the model cannot read abc as a number; write a number, or",
        ),
        ("DT=450. ", "DT=1e2 ", "line 36: DT: the model cannot read 1e2 as a number; write 1.e2."),
        ("DT=450. ", "DT 450. ", "line 36: 'DT 450.' has no '='; write name=value"),
        ("DT=450. ", "DT= ", "line 36: DT: there is no value; write one after '=', or remove"),
        ("DT=450. ", "DT=450. NRAD=2 ", "write each parameter on a line of its own."),
        ("'Toy'", "'Toy", "line 40: planetName: 'Toy has a quote that does not close"),
        ("'Toy'", "'To!y'", "line 40: planetName: 'To has a quote that does not close"),
        ("'Toy'", '"Toy"', 'line 40: planetName: "Toy" is in double quotes; use single ones.'),
        ("rtau=30000.", "rtau=3*30000.", "line 39: rtau: the model reads 3*30000. as one value"),
        ("nda4=48", "nda4=4800000000", "nda4: 4800000000 is too large for an integer; write it as"),
        ("nda4=48", "nda4=48" + " " * 300 + ",1", "cuts lines at 256 characters"),
        ("nda4", "n" * 33, "a name has at most 32 characters"),
        (
            "YEARE=0011",
            "YEAR=0011",
            "line 50: YEAR: &INPUTZ has no such name and the model would stop",
        ),
        ("YEARE=0011", "YEARE='x'", "line 50: YEARE: \"'x'\" is not a number; write one."),
        (
            "AIC=start.nc ",
            "AIC start.nc ",
            "line 25: 'AIC start.nc' is not 'name=value'; write it so.",
        ),
    ],
)
def test_a_bad_deck_is_refused_with_line_and_remedy(old: str, new: str, sentence: str) -> None:
    assert old in DECK
    assert sentence in refusal(
        DECK.replace(old, new, 1) if "kocean" not in new else new.join(DECK.rsplit(old, 1))
    )


def test_a_section_after_the_label_is_refused() -> None:
    moved = DECK.replace("Run Options\nSTACKSIZE=524288\n", "").replace(
        "\n\n\n&&PARAMETERS", "\n\nRun Options\n&&PARAMETERS"
    )
    assert "section 'Run Options' comes after 'Label and Namelist'" in refusal(moved)
    misspelled = DECK.replace("End Preprocessor Options", "End Preprocesor Options")
    assert "line 8: unknown section 'End Preprocesor Options'; did you mean" in refusal(misspelled)


def test_what_is_no_deck_at_all_is_refused(tmp_path: Path) -> None:
    assert "the file is empty" in refusal("")
    assert "the file is empty" in refusal(" \n\n")
    assert "line 2: this is a binary file" in refusal(b"CDF\n\x01\x00\x00")
    assert "no &&PARAMETERS, so this is no rundeck" in refusal("some text\n")
    with pytest.raises(ConfigError, match="it is not there; name a rundeck that can be read"):
        Rundeck.read(tmp_path / "none.R")
    with pytest.raises(ConfigError, match="directory; name a rundeck"):
        Rundeck.read(tmp_path)
    with pytest.raises(ConfigError, match="I, line 1: there are 0 lines before &&PARAMETERS"):
        InputFile.parse(b"&&PARAMETERS\n&&END_PARAMETERS\n &INPUTZ\n /\n")


def test_a_deck_cut_anywhere_is_refused_or_still_whole() -> None:
    """A transfer that broke off: never a traceback, and never a deck without its dates."""
    for length in range(len(DECK)):
        cut = DECK[:length].encode()
        try:
            deck = Rundeck.parse(cut)
        except ConfigError:
            continue
        assert deck.data == cut
        assert deck.end is not None


reals = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**31) + 1, 2**31 - 1)
texts = st.text(string.ascii_letters + string.digits + "/._-+ =,", max_size=100).map(str.rstrip)
values = st.one_of(
    *(
        kind | st.lists(kind, min_size=2, max_size=5).map(tuple)
        for kind in (reals, integers, st.text("abc/._=, ", max_size=20).map(str.rstrip))
    ),
    texts,
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,31}", fullmatch=True)


@given(st.dictionaries(names, values, max_size=8))
def test_what_is_written_is_read_with_the_same_value_and_type(changes: dict[str, object]) -> None:
    unique = {name.lower(): (name, value) for name, value in changes.items()}
    wanted = dict(unique.values())
    deck = TOY.updated(wanted)
    again = Rundeck.parse(deck.data, "toy.R")
    assert again == deck
    for name, value in wanted.items():
        found = again.parameters[name]
        assert repr(found) == repr(value) or (found == value == 0.0 and math.copysign(1, found))
        assert type(found) is type(value)


blanks = st.text(" \t", max_size=3)
comments = st.text(st.characters(codec="latin-1", exclude_characters="\n\r\0"), max_size=30).map(
    "!".__add__
)
assignments = st.builds(
    lambda lead, name, gap, value, end, comment: f"{lead}{name}{gap}={gap}{value}{end}{comment}",
    blanks,
    st.integers(0, 10**6).map("name_{}".format),
    blanks,
    st.sampled_from(["1", "-2", ".5", "1.d-3", "1.,2.", "'a b'", "' '", "1 2", "3.e5, 4."]),
    st.sampled_from(["", " ", ",", "\t"]),
    st.just("") | comments,
)


@given(st.lists(assignments | comments | blanks, max_size=12))
def test_any_block_of_parameters_comes_back_byte_for_byte(lines: list[str]) -> None:
    data = DECK.encode().replace(
        b"DTsrc=1800.\n", "".join(f"{line}\n" for line in lines).encode("latin-1")
    )
    try:
        deck = Rundeck.parse(data)
    except ConfigError as error:
        assert "the model takes the last" in str(error)  # two names met by chance
        return
    assert deck.data == data
    again = deck.updated({"DT": 1.0}).updated({"DT": 450.0})
    assert dict(again.parameters) == dict(deck.parameters)
    assert len(changed_lines(data.decode("latin-1"), again.data.decode("latin-1"))) == 1


@given(st.binary(max_size=200), st.integers(0, len(DECK)))
def test_no_damage_ends_in_a_traceback(damage: bytes, at: int) -> None:
    data = DECK.encode()[:at] + damage + DECK.encode()[at:]
    try:
        assert Rundeck.parse(data).data == data
    except ConfigError as error:
        assert "\n" not in str(error)
