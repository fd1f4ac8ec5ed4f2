# From params.yaml to images, statistics and references.


rule validate:
    output:
        valid="results/params.valid",
        record="results/records/validate.json",
    params:
        code=code("validate"),
        suite=SUITE,
    shell:
        "python -m dctdiff.stages.validate --params params.yaml --out_valid {output.valid}"
        " --out_record {output.record}"


rule plan:
    output:
        plan="results/plan.json",
        record="results/records/plan.json",
    params:
        code=code("plan"),
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
        " --out_record {output.record}"


rule download:
    output:
        source="data/{dataset}/source.zip",
        record="results/records/download/{dataset}.json",
    params:
        code=code("download"),
        download=dataset_slice("download"),
        arguments=written(dataset_slice("download")),
    shell:
        "python -m dctdiff.stages.download {params.arguments} --out_source {output.source}"
        " --out_record {output.record}"


rule crop:
    input:
        source="data/{dataset}/source.zip",
    output:
        train="data/{dataset}/train.zip",
        heldout="data/{dataset}/heldout.zip",
        grid="results/grids/datasets/{dataset}.png",
        record="results/records/crop/{dataset}.json",
    priority: 10
    params:
        code=code("crop"),
        crop=dataset_slice("crop"),
        arguments=written(dataset_slice("crop")),
    shell:
        "python -m dctdiff.stages.crop --source {input.source} {params.arguments}"
        " --out_train {output.train} --out_heldout {output.heldout} --out_grid {output.grid}"
        " --out_record {output.record}"


rule pack:
    input:
        images="data/{dataset}/train.zip",
    output:
        pixels="data/{dataset}/train.npy",
        record="results/records/pack/{dataset}.json",
    priority: 10
    params:
        code=code("pack"),
    shell:
        "python -m dctdiff.stages.pack --images {input.images} --out_pixels {output.pixels}"
        " --out_record {output.record}"


rule statistics:
    input:
        images=training_images(codec_slice),
    output:
        statistics="results/statistics/codecs/{codec}.json",
        record="results/records/statistics/{codec}.json",
    priority: 10
    params:
        code=code("statistics"),
        codec=codec_slice,
        arguments=written(codec_slice),
    shell:
        "python -m dctdiff.stages.statistics --images {input.images} {params.arguments}"
        " --out_statistics {output.statistics}"
        " --out_record {output.record}"


rule spectrum:
    input:
        images=training_images(spectrum_slice),
        statistics=codec_statistics(spectrum_slice),
    output:
        spectrum="results/statistics/spectra/{spectrum}.json",
        record="results/records/spectrum/{spectrum}.json",
    params:
        code=code("spectrum"),
        spectrum=spectrum_slice,
        arguments=written(spectrum_slice),
    shell:
        "python -m dctdiff.stages.spectrum --images {input.images} --statistics {input.statistics}"
        " {params.arguments} --out_spectrum {output.spectrum}"
        " --out_record {output.record}"


rule reference:
    input:
        images=reference_images,
    output:
        reference="data/{dataset}/reference.npz",
        record="results/records/reference/{dataset}.json",
    params:
        code=code("reference"),
        reference=dataset_slice("reference"),
        extractor=SUITE["extractor"],
        arguments=written(dataset_slice("reference")),
        extractor_arguments=arguments(SUITE["extractor"]),
    shell:
        "python -m dctdiff.stages.reference --images data/{wildcards.dataset}/train.zip {params.arguments}"
        " {params.extractor_arguments} --out_reference {output.reference}"
        " --out_record {output.record}"
