# Training and sampling.


rule train:
    input:
        code=code("train"),
        images=training_images(run_slice),
        statistics=run_statistics,
    output:
        weights="results/runs/{run}/ema.safetensors",
        log="results/training/{run}.jsonl",
    priority: 10
    params:
        run=run_slice,
        arguments=written(run_slice),
    shell:
        "python -m dctdiff.stages.train --images {input.images} --statistics {input.statistics}"
        " {params.arguments} --out_weights {output.weights} --out_log {output.log}"


rule sample:
    input:
        code=code("sample"),
        weights=cell_weights,
    output:
        samples="results/samples/{cell}.zip",
        grid="results/grids/cells/{cell}.png",
    params:
        cell=cell_slice,
        arguments=written(cell_slice),
    shell:
        "python -m dctdiff.stages.sample --weights {input.weights} {params.arguments}"
        " --out_samples {output.samples} --out_grid {output.grid}"
