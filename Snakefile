# notebooks/experiments.yml -> papermill runs -> results pages -> the book.
#
#     snakemake --cores all book                          everything the book needs, at scale cpu
#     snakemake --cores all runs --config scale=gpu       the runs of one scale
#
# Each run is one job with one file to show for it, run.json, which appears only when the notebook ran to its end. What
# a failed run leaves (notebook.ipynb, run.log, failure.txt) is no declared output and so stays where it is.
import json
import os
import sys
from pathlib import Path

from book.tools import build
from ganbook.batch import SCALES, load_experiments, plan, theory_runs
from ganbook.errors import GanbookError
from ganbook.sources import sources
from snakemake.exceptions import WorkflowError

SCALE = config.get("scale", "cpu")
PYTHON = sys.executable

try:
    CHAPTERS = theory_runs()
    EXPERIMENT_RUNS = plan(load_experiments(), SCALE)
    RUNS = {str(run.folder): run for run in CHAPTERS + EXPERIMENT_RUNS}
    INPUTS = {name: [os.path.relpath(file) for file in sources(run.notebook)] for name, run in RUNS.items()}
except GanbookError as error:
    raise WorkflowError(str(error)) from None

BOOK = build.Paths.at(SCALE)


def planned(wildcards):
    """The run that a folder stands for."""
    return RUNS[f"runs/{wildcards.scale}/{wildcards.experiment}/{wildcards.run_id}"]


localrules: book, runs, stage, html


rule book:
    default_target: True
    input: BOOK.done


rule runs:
    input: [f"{folder}/run.json" for folder, run in RUNS.items() if run in EXPERIMENT_RUNS]


rule run:
    input: lambda wildcards: INPUTS[str(planned(wildcards).folder)]
    output: "runs/{scale}/{experiment}/{run_id}/run.json"
    wildcard_constraints:
        scale="|".join((*SCALES, "theory")),
    params:
        notebook=lambda wildcards: str(planned(wildcards).notebook),
        folder=lambda wildcards: str(planned(wildcards).folder),
        parameters=lambda wildcards: json.dumps(dict(planned(wildcards).parameters)),
    threads: 1
    resources: gpu=lambda wildcards: int(wildcards.scale == "gpu")
    shell: "{PYTHON} -m ganbook.batch_cli run {params.notebook:q} --out {params.folder:q}"
        " --parameters {params.parameters:q} --threads {threads}"


rule stage:
    input:
        [f"{folder}/run.json" for folder in RUNS],
        build.inputs(SCALE),
    output: BOOK.manifest
    params: scale=SCALE
    shell: "{PYTHON} -m book.tools.build stage {params.scale}"


rule html:
    input: BOOK.manifest
    output: BOOK.done
    params: scale=SCALE
    shell: "{PYTHON} -m book.tools.build html {params.scale}"
