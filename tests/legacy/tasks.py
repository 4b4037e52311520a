"""Tasks with the challenge's interface and its quirks, for Python 3.7 and torch 1.1 or later.

Weights and data come from numpy's legacy generator, whose stream is frozen, so they are the same
everywhere. Needs only what the challenge has, and nothing from this repository.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CLASSES = 10


class Done(Exception):
    """Raised when the test loss is below the target."""


class Task:
    """Common parts of the tasks.

    Gradients are in the model's own storage, which the next call overwrites. `test` returns NaN
    silently. Batches after the last full one are dropped.
    """

    default_batch_size = 32
    target_test_loss = 0.0

    def __init__(self, model, train, held_out):
        self.model, self.data, self.held_out = model, train, held_out
        draw_weights(model)
        self.state = list(model.parameters())
        self.order = np.random.RandomState(3)
        self.steps = 0

    def train_iterator(self, batch_size, shuffle):
        inputs, labels = self.data
        count = len(labels)
        order = self.order.permutation(count) if shuffle else np.arange(count)
        for start in range(0, count - batch_size + 1, batch_size):
            chosen = torch.from_numpy(order[start : start + batch_size])
            yield inputs[chosen], labels[chosen]

    def batch_loss(self, batch):
        self.model.train()
        with torch.no_grad():
            return self.loss(batch).item()

    def batch_loss_and_gradient(self, batch):
        self.model.train()
        self.model.zero_grad()
        loss = self.loss(batch)
        loss.backward()
        self.steps += 1
        return loss.item(), [p.grad for p in self.state]

    def test(self, state=None):
        live = [p.data.clone() for p in self.state]
        put(self.state, self.state if state is None else state)
        self.model.eval()
        with torch.no_grad():
            loss = self.loss(self.held_out).item()
        put(self.state, live)
        return self.judged(loss)

    def judged(self, loss):
        if loss < self.target_test_loss:
            raise Done
        return loss

    def loss(self, batch):
        inputs, labels = batch
        return functional.cross_entropy(self.model(inputs), labels)


class Regression(Task):
    """Multinomial logistic regression without a target. Convex, so rounding isn't amplified."""

    def __init__(self):
        super().__init__(nn.Linear(20, CLASSES), *clusters((20,), 1600))


class Perceptron(Task):
    """A tanh perceptron whose loader never shuffles."""

    default_batch_size = 64
    target_test_loss = 0.55

    def __init__(self):
        model = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, CLASSES))
        super().__init__(model, *clusters((20,), 1600))

    def train_iterator(self, batch_size, shuffle):
        return super().train_iterator(batch_size, False)


class Images(Task):
    """Convolutions and batch norm, like the challenge's image task.

    `batch_loss` moves the running statistics. `test` uses those of training, whatever weights it
    gets.
    """

    target_test_loss = 0.6

    def __init__(self):
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            Flat(),
            nn.Linear(16, CLASSES),
        )
        super().__init__(model, *clusters((3, 8, 8), 800))


class Language(Task):
    """An LSTM with tied embedding and dropout, like the challenge's language task.

    The loss is a tensor; gradients are clipped to a norm of 0.4; `shuffle` is ignored; the hidden
    state carries over from batch to batch. `test` ignores the weights it gets, leaves dropout on,
    and resets the hidden state to the default batch size.
    """

    length = 16
    target_test_loss = 1.9

    def __init__(self):
        text = chain(20000)
        super().__init__(Recurrent(), text[:16000], text[16000:])
        self.hidden = None

    def train_iterator(self, batch_size, shuffle):
        self.hidden = None
        return self.windows(self.data, batch_size)

    def windows(self, text, batch_size):
        columns = text[: len(text) // batch_size * batch_size].view(batch_size, -1).t()
        for start in range(0, len(columns) - self.length - 1, self.length):
            yield columns[start : start + self.length], columns[start + 1 :][: self.length]

    def batch_loss_and_gradient(self, batch):
        self.model.train()
        self.model.zero_grad()
        loss = self.loss(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.state, 0.4)
        self.steps += 1
        return loss.detach(), [p.grad for p in self.state]

    def test(self, state=None):
        self.hidden = None
        batches = self.windows(self.held_out, self.default_batch_size)
        losses = [self.batch_loss(batch) for batch in batches]
        self.hidden = None
        return self.judged(sum(losses) / len(losses))

    def loss(self, batch):
        inputs, labels = batch
        logits, hidden = self.model(inputs, self.hidden)
        self.hidden = tuple(part.detach() for part in hidden)
        return functional.cross_entropy(logits.reshape(-1, CLASSES), labels.reshape(-1))


class Recurrent(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, width)
        self.dropout = nn.Dropout(0.2)
        self.lstm = nn.LSTM(width, width)
        self.head = nn.Linear(width, CLASSES)
        self.head.weight = self.embedding.weight

    def forward(self, inputs, hidden):
        outputs, hidden = self.lstm(self.dropout(self.embedding(inputs)), hidden)
        return self.head(self.dropout(outputs)), hidden


class Flat(nn.Module):
    def forward(self, inputs):
        return inputs.reshape(len(inputs), -1)


def clusters(shape, count):
    """Return noisy examples of ten random centres: (inputs, labels), for training and held out."""
    generator = np.random.RandomState(0)
    centres = generator.randn(CLASSES, *shape)
    labels = generator.randint(CLASSES, size=count + 256)
    inputs = centres[labels] + 1.5 * generator.randn(count + 256, *shape)
    inputs, labels = torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)
    return (inputs[:count], labels[:count]), (inputs[count:], labels[count:])


def chain(length):
    """Return a second-order Markov chain on ten symbols, `[length]`."""
    generator = np.random.RandomState(0)
    likely = generator.dirichlet([0.1] * CLASSES, size=(CLASSES, CLASSES))
    ends, draws = likely.cumsum(-1), generator.uniform(size=length)
    symbols = [0, 0]
    for draw in draws:
        symbol = ends[symbols[-2], symbols[-1]].searchsorted(draw)
        symbols.append(min(int(symbol), CLASSES - 1))
    return torch.tensor(symbols[2:])


def draw_weights(model):
    """Draw weights like torch 1.1: matrices and filters uniform in +-1/sqrt(fan-in), biases 0.

    Scales of batch norm are uniform in [0, 1).
    """
    generator = np.random.RandomState(1)
    for weight in model.parameters():
        if weight.dim() > 1:
            bound = (weight.numel() / weight.shape[0]) ** -0.5
            drawn = generator.uniform(-bound, bound, tuple(weight.shape))
            weight.data.copy_(torch.tensor(drawn, dtype=torch.float32))
        else:
            weight.data.zero_()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            drawn = generator.uniform(0, 1, tuple(module.weight.shape))
            module.weight.data.copy_(torch.tensor(drawn, dtype=torch.float32))


def put(state, values):
    """Copy values into the tensors of the state, in place."""
    for i, tensor in enumerate(state):
        tensor.data.copy_(values[i])
