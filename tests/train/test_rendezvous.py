"""Ranks find their place from what srun, mpirun, torchrun and our spawner set."""

import pytest

from astrohpc.errors import ConfigError
from astrohpc.train.engines.rendezvous import Place, find_place, first_host
from astrohpc.train.spawn import environments

BATCH = {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "77"}


def srun(rank: int, node: int, local: int, tasks: str, total: int) -> dict[str, str]:
    return BATCH | {
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(total),
        "SLURM_STEP_TASKS_PER_NODE": tasks,
        "SLURM_STEP_NODELIST": "gpu[003-004,9]",
        "SLURM_PROCID": str(rank),
        "SLURM_NODEID": str(node),
        "SLURM_LOCALID": str(local),
    }


def mpirun(rank: int, size: int, local_rank: int, local_size: int) -> dict[str, str]:
    return {
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(local_rank),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(local_size),
        "PMIX_NAMESPACE": "1234",
    }


def test_a_process_that_nobody_launched_is_alone() -> None:
    assert find_place({}) == Place()


def test_a_batch_script_is_one_process_whatever_slurm_counts_for_it() -> None:
    assert find_place(BATCH).size == 1


def test_srun_tells_nodes_with_fewer_tasks() -> None:
    place = find_place(srun(4, 2, 0, "2(x2),1", 5))
    assert (place.rank, place.size, place.local_rank, place.local_size) == (4, 5, 0, 1)
    assert (place.cross_rank, place.cross_size) == (2, 3)
    second = find_place(srun(3, 1, 1, "2(x2),1", 5))
    assert (second.local_size, second.cross_rank, second.cross_size) == (2, 1, 2)
    assert place.meet() == second.meet() == ("gpu003", place.port)


def test_ranks_of_another_step_meet_at_another_port() -> None:
    one, other = srun(0, 0, 0, "2", 2), srun(0, 0, 0, "2", 2) | {"SLURM_STEP_ID": "1"}
    assert find_place(one).port != find_place(other).port
    assert 1024 < find_place(one).port < 32768


def test_one_node_meets_at_home() -> None:
    assert find_place(srun(1, 0, 1, "2", 2)).meet()[0] == "127.0.0.1"
    assert find_place(mpirun(1, 2, 1, 2)).meet()[0] == "127.0.0.1"


def test_mpirun_within_a_job_of_slurm_counts_before_slurm() -> None:
    place = find_place(BATCH | mpirun(3, 4, 1, 2))
    assert (place.launcher, place.rank, place.size, place.local_rank) == ("mpirun", 3, 4, 1)


def test_mpirun_on_several_nodes_needs_to_be_told_where_rank_0_is() -> None:
    with pytest.raises(ConfigError, match="MASTER_ADDR: mpirun does not tell"):
        find_place(mpirun(3, 4, 1, 2)).meet()
    told = mpirun(3, 4, 1, 2) | {"MASTER_ADDR": "n1", "MASTER_PORT": "4000"}
    assert find_place(told).meet() == ("n1", 4000)


def test_our_spawner_within_srun_counts_before_it() -> None:
    places = [find_place(one) for one in environments(3, 5555, srun(0, 0, 0, "1", 1), cores=8)]
    assert [one.rank for one in places] == [0, 1, 2]
    assert {(one.size, one.local_size, one.cross_size) for one in places} == {(3, 3, 1)}
    assert {one.meet() for one in places} == {("127.0.0.1", 5555)}
    assert places[0].launcher == "astrohpc.train.spawn"


def test_the_spawner_shares_out_cores_unless_told() -> None:
    assert environments(3, 1, {}, cores=8)[0]["OMP_NUM_THREADS"] == "2"
    assert environments(3, 1, {}, cores=2)[0]["OMP_NUM_THREADS"] == "1"
    assert environments(3, 1, {"OMP_NUM_THREADS": "5"}, cores=8)[0]["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize(
    ("nodelist", "first"),
    [
        ("gpu[003-007,9],login1", "gpu003"),
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("a-b[12]", "a-b12"),
        ("r[1-2]n", "r1n"),
        ("", ""),
    ],
)
def test_the_first_host_of_slurms_list(nodelist: str, first: str) -> None:
    assert first_host(nodelist) == first


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK: 'x' is no number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "rank 2 is not within 0..1"),
        ({"RANK": "0", "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "2"}, "do not divide into nodes"),
        ({"OMPI_COMM_WORLD_RANK": "0"}, "OMPI_COMM_WORLD_SIZE: None is no number"),
    ],
)
def test_variables_that_do_not_belong_together_are_refused(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        find_place(environment)
