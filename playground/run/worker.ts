// Packs, runs and measures a layer apart from the page, which stays responsive, and can end it.

import { serve } from "../worker/serve.ts";
import { measureLayer } from "./measure-layer.ts";

serve(measureLayer);
