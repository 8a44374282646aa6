"""PyTorch learns the digits; worker processes load them, and pass tensors by shared memory and descriptors."""
import io
import os

import sklearn
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

table = np.loadtxt(os.path.join(os.path.dirname(sklearn.__file__), "datasets/data/digits.csv.gz"), delimiter=",")
inputs = torch.tensor(table[:, :-1] / 16.0, dtype=torch.float32)
digits = torch.tensor(table[:, -1], dtype=torch.long)
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
descent = torch.optim.SGD(network.parameters(), 0.2)


def training():
    losses = []
    for number in range(2):
        batches = DataLoader(TensorDataset(inputs, digits), batch_size=100, shuffle=True, num_workers=2)
        total = 0.0
        for some, answers in batches:
            descent.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(some), answers)
            loss.backward()
            descent.step()
            total += loss.item()
        losses.append(total)
        print(number, total.hex())
    print("ok" if losses[-1] < losses[0] else "FAIL", "the loss falls")


def sharing(tensor):
    tensor += 1


if __name__ == "__main__":
    print(torch.__version__, torch.get_num_threads())
    training()
    torch.save(network.state_dict(), "/tmp/septum-digits.pt")
    saved = torch.load("/tmp/septum-digits.pt")
    same = all(torch.equal(saved[name], value) for name, value in network.state_dict().items())
    print("ok" if same else "FAIL", "what was saved is read back")
    os.remove("/tmp/septum-digits.pt")
    shared = torch.zeros(1000).share_memory_()
    child = torch.multiprocessing.Process(target=sharing, args=(shared,))
    child.start()
    child.join()
    print("ok" if shared.sum() == 1000 else "FAIL", "a tensor is shared with a process")
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    print("convolution", float(torch.nn.functional.conv2d(image, torch.ones(4, 3, 3, 3)).sum()).hex())
    script = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    buffer = io.BytesIO()
    torch.jit.save(script, buffer)
    buffer.seek(0)
    print("ok" if torch.equal(torch.jit.load(buffer)(torch.ones(4)), script(torch.ones(4))) else "FAIL", "a script")
