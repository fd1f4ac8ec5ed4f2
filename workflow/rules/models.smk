# Weights, trained here or published, the choice between checkpoints, and sampling.


rule weights:
    input:
        images=weights_images,
        pixels=weights_pixels,
        latents=weights_latents,
        statistics=weights_statistics,
        stale=stale("weights"),
    output:
        # Kept until they are replaced: a run that asks what to do loses nothing.
        weights=update("results/runs/{run}/last.safetensors"),
        checkpoints=update(directory("results/runs/{run}/checkpoints")),
        log=update("results/training/{run}.jsonl"),
        record=update("results/records/weights/{run}.json"),
    log:
        "logs/weights/{run}.log",
    wildcard_constraints:
        run=among(SUITE["runs"]),  # else Snakemake asks for the inputs of imported ones too, and says that they fail
    priority: 10
    resources:
        **resources("weights"),
    params:
        module=weights_module,
        images=run_images,
        pixels=run_pixels,
        latents=run_latents,
        statistics=run_statistics,
        arguments=arguments("weights"),
        launcher=launcher,
    message:
        asking("weights {wildcards.run}")
    shell:
        "{params.launcher}python -m dctdiff.stages.{params.module} --images {params.images} --pixels {params.pixels}"
        " --latents {params.latents} --statistics {params.statistics} {params.arguments} --out_weights {output.weights} --out_checkpoints {output.checkpoints}"
        " --out_log {output.log}"
        " --out_record {output.record}"


rule import_weights:
    input:
        stale=stale("import_weights"),
    output:
        weights="results/runs/{run}/last.safetensors",
        checkpoints=directory("results/runs/{run}/checkpoints"),
        log="results/training/{run}.jsonl",
        record="results/records/import_weights/{run}.json",
    log:
        "logs/import_weights/{run}.log",
    wildcard_constraints:
        run=among(SUITE["imports"]),
    params:
        arguments=arguments("import_weights"),
    message:
        "import_weights {wildcards.run}"
    shell:
        "python -m dctdiff.stages.import_weights {params.arguments} --out_weights {output.weights}"
        " --out_checkpoints {output.checkpoints} --out_log {output.log}"
        " --out_record {output.record}"


ruleorder: import_weights > weights


rule select:
    input:
        checkpoints="results/runs/{run}/checkpoints",
        reference=reference_of(selection_slice, "reference"),
        stale=stale("select"),
    output:
        weights="results/runs/{run}/best.safetensors",
        selection="results/evaluations/selections/{run}.json",
        record="results/records/select/{run}.json",
    log:
        "logs/select/{run}.log",
    priority: 10
    resources:
        **resources("select"),
    params:
        arguments=arguments("select"),
        launcher=launcher,
    message:
        asking("select {wildcards.run}")
    shell:
        "{params.launcher}python -m dctdiff.stages.select --checkpoints {input.checkpoints} --reference_file {input.reference}"
        " {params.arguments}"
        " --out_weights {output.weights} --out_selection {output.selection}"
        " --out_record {output.record}"


rule sample:
    input:
        weights=cell_weights,
        stale=stale("sample"),
    output:
        samples="results/samples/{cell}.zip",
        grid=shown("results/grids/cells/{cell}.png", "Grids", "cells", cell="{cell}"),
        record="results/records/sample/{cell}.json",
    log:
        "logs/sample/{cell}.log",
    resources:
        **resources("sample"),
    params:
        arguments=arguments("sample"),
        launcher=launcher,
    message:
        asking("sample {wildcards.cell}")
    shell:
        "{params.launcher}python -m dctdiff.stages.sample --weights {input.weights} {params.arguments}"
        " --out_samples {output.samples} --out_grid {output.grid}"
        " --out_record {output.record}"
