"""Targets of the evaluation suites, as `python -m tasks measure demo` and `... smoke` printed them.

Measured on one core of an Intel Xeon that other work shared, one thread, torch 2.13,
Python 3.11. `losses` are the baseline's test losses by epoch, `seconds` its whole budget's time,
`epoch` the one that set the target. The rule is in `tasks.suites`.
"""

MEASURED = {
    "digits_cnn_batchnorm": {
        "target": 0.101,
        "epoch": 12,
        "seconds": 9.5,
        "losses": [
            1.9348,
            1.204,
            0.708,
            0.4199,
            0.3068,
            0.2171,
            0.1756,
            0.1589,
            0.1194,
            0.1073,
            0.0888,
            0.1002,
            0.0844,
            0.0614,
            0.0592,
            0.0534,
            0.0517,
            0.0541,
            0.0502,
            0.0485,
        ],
    },
    "topics_lstm": {
        "target": 2.531,
        "epoch": 5,
        "seconds": 13.4,
        "losses": [3.207, 3.1798, 2.9473, 2.6906, 2.5307, 2.4303, 2.3621, 2.299],
    },
    "topics_transformer": {
        "target": 2.212,
        "epoch": 6,
        "seconds": 11.9,
        "losses": [2.6998, 2.5583, 2.5027, 2.4284, 2.3479, 2.2114, 2.0894, 1.9854, 1.9338, 1.8618],
    },
    "fashion_cnn": {
        "target": 0.909,
        "epoch": 5,
        "seconds": 10.7,
        "losses": [1.5264, 1.2102, 1.0458, 0.9841, 0.9084, 0.8821, 0.8804, 0.8255],
    },
    "fashion_cnn_groupnorm": {
        "target": 0.561,
        "epoch": 5,
        "seconds": 10.7,
        "losses": [0.9224, 0.6871, 0.6078, 0.527, 0.5608, 0.5161, 0.4775, 0.4886],
    },
    "digits_mlp": {
        "target": 1.069,
        "epoch": 3,
        "seconds": 0.1,
        "losses": [2.1092, 1.6696, 1.068, 0.6455, 0.4472],
    },
    "topics_lstm_tiny": {
        "target": 3.129,
        "epoch": 2,
        "seconds": 0.3,
        "losses": [3.3696, 3.1284, 3.1151],
    },
}
