# From params.yaml to images, statistics and references.


rule validate:
    input:
        code=code("validate"),
    output:
        valid="results/params.valid",
    params:
        suite=SUITE,
    shell:
        "python -m dctdiff.stages.validate --params params.yaml --out_valid {output.valid}"


rule plan:
    input:
        code=code("plan"),
    output:
        plan="results/plan.json",
    params:
        datasets=SUITE["datasets"],
        codecs=SUITE["codecs"],
        truncations=SUITE["truncations"],
        upsamplings=SUITE["upsamplings"],
        spectra=SUITE["spectra"],
        runs=SUITE["runs"],
        selections=SUITE["selections"],
        cells=SUITE["cells"],
        published=SUITE["published"],
    shell:
        "python -m dctdiff.stages.plan --params params.yaml --out_plan {output.plan}"


rule download:
    input:
        code=code("download"),
    output:
        source="data/{dataset}/source.zip",
    params:
        download=dataset_slice("download"),
        arguments=written(dataset_slice("download")),
    shell:
        "python -m dctdiff.stages.download {params.arguments} --out_source {output.source}"


rule crop:
    input:
        code=code("crop"),
        source="data/{dataset}/source.zip",
    output:
        train="data/{dataset}/train.zip",
        heldout="data/{dataset}/heldout.zip",
        grid="results/grids/datasets/{dataset}.png",
    priority: 10
    params:
        crop=dataset_slice("crop"),
        arguments=written(dataset_slice("crop")),
    shell:
        "python -m dctdiff.stages.crop --source {input.source} {params.arguments}"
        " --out_train {output.train} --out_heldout {output.heldout} --out_grid {output.grid}"


rule pack:
    input:
        code=code("pack"),
        images="data/{dataset}/train.zip",
    output:
        pixels="data/{dataset}/train.npy",
    priority: 10
    shell:
        "python -m dctdiff.stages.pack --images {input.images} --out_pixels {output.pixels}"


rule statistics:
    input:
        code=code("statistics"),
        images=training_images(codec_slice),
    output:
        statistics="results/statistics/codecs/{codec}.json",
    priority: 10
    params:
        codec=codec_slice,
        arguments=written(codec_slice),
    shell:
        "python -m dctdiff.stages.statistics --images {input.images} {params.arguments}"
        " --out_statistics {output.statistics}"


rule spectrum:
    input:
        code=code("spectrum"),
        images=training_images(spectrum_slice),
        statistics=codec_statistics(spectrum_slice),
    output:
        spectrum="results/statistics/spectra/{spectrum}.json",
    params:
        spectrum=spectrum_slice,
        arguments=written(spectrum_slice),
    shell:
        "python -m dctdiff.stages.spectrum --images {input.images} --statistics {input.statistics}"
        " {params.arguments} --out_spectrum {output.spectrum}"


rule reference:
    input:
        code=code("reference"),
        images=reference_images,
    output:
        reference="data/{dataset}/reference.npz",
    params:
        reference=dataset_slice("reference"),
        extractor=SUITE["extractor"],
        arguments=written(dataset_slice("reference")),
        extractor_arguments=arguments(SUITE["extractor"]),
    shell:
        "python -m dctdiff.stages.reference --images data/{wildcards.dataset}/train.zip {params.arguments}"
        " {params.extractor_arguments} --out_reference {output.reference}"
