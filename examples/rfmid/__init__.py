"""Retinal diseases in fundus photographs: a complete multi-label system.

From a folder of labelled photographs to a model with one decision threshold per disease, its
figures and its report. Every step is a command, and the steps talk through files in a run folder::

    python -m examples.rfmid demo     --folder demo                  # everything, on generated eyes

    python -m examples.rfmid generate --root data                    # generated photographs
    python -m examples.rfmid split    --labels l.csv --images i --output data  # of your own
    python -m examples.rfmid prepare  --data data                    # decode photographs once
    python -m examples.rfmid find-lr  --data data --run run          # which learning rate?
    python -m examples.rfmid profile  --data data --cache disk       # where a step's time goes
    python -m examples.rfmid train    --data data --run run          # train, select, tune, save
    python -m examples.rfmid tune     --run run --strategy exact     # other thresholds, in seconds
    python -m examples.rfmid evaluate --run run                      # the test split, once
    python -m examples.rfmid evaluate --run run --external other     # and on another data set
    python -m examples.rfmid report   --run run                      # report.md, MODEL_CARD.md
    python -m examples.rfmid ablate   --folder abl --data data       # which change did what?
    python -m examples.rfmid crossval --folder cv --data data        # a network a fold; their mean
    python -m examples.rfmid ensemble --run mean --runs run-a run-b  # several networks as one
    python -m examples.rfmid predict  --run run --images eye.png     # a new photograph
    python -m examples.rfmid explain  --run run --images eye.png     # Grad-CAM overlays
    python -m examples.rfmid export   --run run --format onnx        # one file, compared
    python -m examples.rfmid predict  --model run/model.onnx --images eye.png
    python -m examples.rfmid serve    run                            # a page for a colleague

``train`` takes the settings of a preset, and a flag for each of them (``train --help``):

- ``--preset default``: ConvNeXt-Tiny, fine-tuned from ImageNet weights at 224 pixels, with
  thresholds and probabilities made to hold on new patients.
- ``--preset after``, ``--preset before``: the deck's final settings and its first, whole.
- ``--preset cpu``: a small ConvNeXt from random weights at 96 pixels, for a machine without a GPU.
- ``--preset frozen``: a linear head on what blocks of a pretrained network found, without a GPU.
- ``--preset demo``: ``cpu`` at 64 pixels, for generated photographs.

A run that was broken off, by Ctrl-C, ``--max-minutes`` or ``kill -9``, goes on with
``train --run run --resume``.

Several GPUs train one model with ``torchrun --nproc-per-node=4 -m -- examples.rfmid train ...``;
the batch is split among them. ``--cache disk`` decodes and resizes each photograph once, for all
runs.

The run folder holds ``config.json``, ``data.json`` (classes, counts, warnings), ``metrics.jsonl``
(a line per epoch), ``checkpoint.pt`` (for resuming), ``predictions_val.npz`` and
``predictions_test.npz``, the model (``model.safetensors``, ``thresholds.json``, ``model.json``),
``evaluation.json``, ``report.md``, ``MODEL_CARD.md`` and ``figures/``; after ``export``
``model.onnx`` or ``model.pt2``, which ``tune`` deletes with the thresholds in it; with
``--keep-epoch-predictions`` also ``epochs/``, the network's outputs after each. Tuning and
evaluation read the predictions alone: they need neither the photographs nor a GPU.

With ``--grades`` a run also learns the severity that columns such as ``DR_grade`` give; it is
scored and reported, and ``predict`` shows the most probable grade (kept in
``grades.safetensors``); exported files and ensembles leave it out. ``generate --grades`` draws
such data.

The data folder holds three splits, RFMiD's as they are downloaded, or any others of the same shape:
a folder of images and a CSV with a column ``ID`` and one 0/1 column per disease.
"""
