// Unpacks the Chromium of @sparticuz/chromium, its libraries and its fonts into $TMPDIR, and prints
// where they are. AWS_EXECUTION_ENV must be set: without it the package leaves the libraries out.
import chromium from "@sparticuz/chromium";

const executable = await chromium.executablePath();
const { LD_LIBRARY_PATH, FONTCONFIG_PATH } = process.env;
console.log(JSON.stringify({ executable, environment: { LD_LIBRARY_PATH, FONTCONFIG_PATH } }));
