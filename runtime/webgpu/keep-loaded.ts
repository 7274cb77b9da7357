// A model that outlives its device. Browsers take devices away: when the GPU process crashes, when a driver is updated, when
// another page used too much. What a model is made of is still there then, in the plan and in the pack that is kept.

export interface KeptModel<Model> {
  /**
   * Works with the model, which is loaded when it is not. When the device is lost meanwhile, the model is loaded on another
   * one and the work begins again, once.
   * @throws what loading and the work throw.
   */
  use<Result>(work: (model: Model, device: GPUDevice) => Promise<Result>): Promise<Result>;
  /** Frees what the model holds on the device. The next `use` loads it again. */
  release(): Promise<void>;
}

/** How often work begins again before a loss is reported. */
const RESTARTS = 1;

interface Started<Model> {
  readonly loaded: Promise<{ readonly model: Model; readonly device: GPUDevice }>;
  readonly isLost: () => boolean;
}

/**
 * @param request gives a device that works: at first, and again when that was lost. A page that shares its device with other
 * code returns it here.
 * @param load loads the model onto it.
 */
export function keepLoaded<Model extends { destroy(): void }>(
  request: () => Promise<GPUDevice>,
  load: (device: GPUDevice) => Promise<Model>,
): KeptModel<Model> {
  // One for all who ask in the meantime; absent when nothing is loaded, or it was lost or could not be loaded.
  let current: Started<Model> | undefined;
  const start = (): Started<Model> => {
    let isLost = false;
    const forget = () => {
      if (current === started) current = undefined;
    };
    const startOn = async (device: GPUDevice) => {
      let model: Model | undefined;
      device.lost.then(() => {
        isLost = true;
        forget();
        model?.destroy();
      });
      model = await load(device);
      return { model, device };
    };
    const started: Started<Model> = { loaded: request().then(startOn), isLost: () => isLost };
    started.loaded.catch(forget);
    return started;
  };
  return {
    use: async (work) => {
      for (let restarts = 0; ; restarts++) {
        current ??= start();
        const started = current;
        try {
          const { model, device } = await started.loaded;
          return await work(model, device);
        } catch (thrown) {
          // The loss itself may be announced a turn after the failures that it causes.
          await new Promise((resolve) => setTimeout(resolve));
          if (!started.isLost() || restarts === RESTARTS) throw thrown;
        }
      }
    },
    release: async () => {
      const loaded = current?.loaded;
      current = undefined;
      (await loaded?.catch(() => undefined))?.model.destroy();
    },
  };
}
