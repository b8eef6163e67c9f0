"""The descriptions of clusters are what Ray takes, and keep to what the guide promises of them."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_fade import words

from fade_ray.kinds import KINDS, kind_of_run
from fade_ray.run.command import parse

ROOT = Path(__file__).resolve().parent.parent
FILES = [ROOT / "cluster.yaml", *sorted((ROOT / "examples" / "clusters").glob("*.yaml"))]
LAUNCHED = [path for path in FILES if not path.name.startswith("kuberay")]
"""Those that `ray up` takes."""
PAGES = [ROOT / "docs" / "cluster.md", ROOT / "README.md", ROOT / "scripts" / "run_fade.py", *FILES]
DASHBOARD = "--dashboard-host=127.0.0.1"


def read(path: Path) -> dict[str, Any]:
    described = yaml.safe_load(path.read_text())
    assert isinstance(described, dict)
    return described


def name(path: Path) -> str:
    return path.name


def starts(path: Path) -> list[str]:
    """The lines that start nodes, the head's first."""
    described = read(path)
    return [
        line
        for role in ("head", "worker")
        for line in described[f"{role}_start_ray_commands"]
        if "ray start" in line
    ]


@pytest.mark.parametrize("path", LAUNCHED, ids=name)
def test_ray_takes_the_description(path: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(read(path)))


def test_ray_does_refuse_a_description_with_a_misspelt_word() -> None:
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    spoilt = read(ROOT / "cluster.yaml")
    spoilt["available_node_types"]["gpu"]["max_worker"] = 8
    with pytest.raises(ValidationError, match="max_worker"):
        validate_config(prepare_config(spoilt))


@pytest.mark.parametrize("path", LAUNCHED, ids=name)
def test_nodes_start_with_flags_that_ray_has_and_with_shut_doors(path: Path) -> None:
    from ray.scripts.scripts import start

    head, worker = starts(path)
    for line in (head, worker):
        assert "RAY_AUTH_MODE=token" in line
        flags = shlex.split(line.split("ray start")[1].replace("$RAY_HEAD_IP", "10.0.0.1"))
        given = start.make_context("start", flags).params
        assert given["object_store_memory"] >= 10**9
    assert DASHBOARD in head
    mounted = read(path)["file_mounts"]
    assert mounted["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert mounted["~/fade_ray"] == "."  # the same source on every node
    assert any("~/fade_ray" in line for line in read(path)["setup_commands"])


@pytest.mark.parametrize("path", FILES, ids=name)
def test_all_nodes_have_one_version_of_ray(path: Path) -> None:
    text = path.read_text()
    named = re.findall(r"(?:rayVersion: |ray:|fade-ray:|ray.default.==)(\d+\.\d+\.\d+)", text)
    assert set(named) <= {"2.60.0"}
    assert "ray-ml" not in text


def test_kubernetes_knows_what_is_described() -> None:
    cluster, job = (
        read(ROOT / "examples" / "clusters" / f"kuberay-{kind}.yaml") for kind in ("cluster", "job")
    )
    assert {cluster["apiVersion"], job["apiVersion"]} == {"ray.io/v1"}
    assert (cluster["kind"], job["kind"]) == ("RayCluster", "RayJob")
    assert job["spec"]["clusterSelector"]["ray.io/cluster"] == cluster["metadata"]["name"]
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/shared"]
        assert [volume["name"] for volume in pod["volumes"]] == ["shared"]
    assert "--out /shared/" in job["spec"]["entrypoint"]
    parse(kind_of_run("search"), job["spec"]["entrypoint"].split()[2:])


def test_the_script_for_slurm_is_one_that_bash_reads() -> None:
    script = ROOT / "examples" / "clusters" / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)


SENT = re.compile(r"scripts/run_fade\.py (?:-- )?((?:[^`\n]*\\\n)*[^`\n]+)")


def test_what_is_sent_to_a_cluster_is_what_the_command_takes() -> None:
    commands = [found for path in PAGES for found in SENT.findall(path.read_text())]
    whole = [found.replace("\\\n", " ") for found in commands if "..." not in found]
    assert len(whole) >= 6
    for command in whole:
        sent = words(shlex.split(command.replace("\n# ", "\n")))
        named = max((kind for kind in KINDS if " ".join(sent).startswith(kind)), key=len)
        assert "--out" in sent, command
        if kind_of_run(named).source is None:
            parse(kind_of_run(named), sent[len(named.split()) :])
