// A model that outlives its device, on devices that are nothing but their loss. test/browser loses a real one.

import { expect, test } from "vitest";
import { keepLoaded } from "../../runtime/webgpu/keep-loaded.ts";

interface FakeModel {
  readonly number: number;
  destroyed: boolean;
  destroy(): void;
}

function setUp() {
  const devices: { device: GPUDevice; lose: () => void }[] = [];
  const models: FakeModel[] = [];
  const request = async () => {
    let lose = () => {};
    const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
      lose = () => resolve({ reason: "unknown", message: "" } as GPUDeviceLostInfo);
    });
    const device = { lost } as GPUDevice;
    devices.push({ device, lose });
    return device;
  };
  const load = async () => {
    const model: FakeModel = {
      number: models.length,
      destroyed: false,
      destroy: () => {
        model.destroyed = true;
      },
    };
    models.push(model);
    return model;
  };
  return { devices, models, request, load };
}

test("the model is loaded by the first who asks, for all who ask meanwhile", async () => {
  const { models, request, load } = setUp();
  const kept = keepLoaded(request, load);
  expect(models).toHaveLength(0);
  const numbers = await Promise.all([1, 2, 3].map(() => kept.use(async ({ number }) => number)));
  expect(numbers).toEqual([0, 0, 0]);
  expect(models).toHaveLength(1);
});

test("when the device is lost between two uses, the next one has another model on another device", async () => {
  const { devices, models, request, load } = setUp();
  const kept = keepLoaded(request, load);
  await kept.use(async () => {});
  devices[0]!.lose();
  expect(await kept.use(async ({ number }, device) => [number, device === devices[1]!.device])).toEqual([1, true]);
  expect(models.map(({ destroyed }) => destroyed)).toEqual([true, false]);
});

test("work during which the device is lost begins again, once", async () => {
  const { devices, request, load } = setUp();
  const kept = keepLoaded(request, load);
  const started: number[] = [];
  const failing = (times: number) =>
    kept.use(async ({ number }) => {
      started.push(number);
      if (started.length > times) return "done";
      // Losses are announced after the failures that they cause.
      setTimeout(devices.at(-1)!.lose);
      throw new Error(`lost ${number}`);
    });
  expect(await failing(1)).toBe("done");
  expect(started).toEqual([0, 1]);
  started.length = 0;
  await expect(failing(5)).rejects.toThrow("lost 2");
  expect(started).toEqual([1, 2]);
});

test("work that fails for another reason is not repeated, and the model stays", async () => {
  const { models, request, load } = setUp();
  const kept = keepLoaded(request, load);
  let times = 0;
  const work = async () => {
    times++;
    throw new Error("mine");
  };
  await expect(kept.use(work)).rejects.toThrow("mine");
  expect(times).toBe(1);
  expect(await kept.use(async ({ number }) => number)).toBe(0);
  expect(models).toHaveLength(1);
});

test("a device that is lost while the model is loaded is replaced as well", async () => {
  const { devices, request, load } = setUp();
  let times = 0;
  const kept = keepLoaded(request, async () => {
    if (times++ > 0) return load();
    devices[0]!.lose();
    throw new Error("lost while loading");
  });
  expect(await kept.use(async ({ number }) => number)).toBe(0);
  expect(devices).toHaveLength(2);
});

test("what cannot be loaded is tried again by the next who asks", async () => {
  const { request, load } = setUp();
  let times = 0;
  const kept = keepLoaded(request, () => (times++ === 0 ? Promise.reject(new Error("offline")) : load()));
  await expect(kept.use(async () => {})).rejects.toThrow("offline");
  expect(await kept.use(async ({ number }) => number)).toBe(0);
});

test("release frees the model, and the next use loads it again, whatever becomes of the device before", async () => {
  const { devices, models, request, load } = setUp();
  const kept = keepLoaded(request, load);
  await kept.release();
  await kept.use(async () => {});
  await kept.release();
  expect(models[0]!.destroyed).toBe(true);
  expect(await kept.use(async ({ number }) => number)).toBe(1);
  devices[0]!.lose();
  await devices[0]!.device.lost;
  expect(await kept.use(async ({ number }) => number)).toBe(1);
});

test("release waits for what is being loaded, and is not refused where that fails", async () => {
  const { models, request, load } = setUp();
  const kept = keepLoaded(request, load);
  const used = kept.use(async () => "used");
  await kept.release();
  expect(models[0]!.destroyed).toBe(true);
  expect(await used).toBe("used");
  const offline = keepLoaded(request, () => Promise.reject(new Error("offline")));
  const refused = expect(offline.use(async () => {})).rejects.toThrow("offline");
  await offline.release();
  await refused;
});
