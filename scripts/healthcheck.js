// The image's HEALTHCHECK: exit code 0 while the process answers /health. A mode that serves its operations routes on OPS_PORT is asked there;
// the API always answers on PORT. Plain JavaScript over node:http, because it runs each 30 s beside the product: fetch would cost twice as much.
import { get } from 'node:http';

const { RUN_MODE, PORT, OPS_PORT } = process.env;
const port = RUN_MODE === 'api' || RUN_MODE === 'all' ? PORT : OPS_PORT || PORT;
const request = get({ host: '127.0.0.1', port: port || 8000, path: '/health', timeout: 4000 }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
});
request.on('timeout', () => request.destroy());
request.on('error', () => process.exit(1));
