// Clopper and Pearson's interval, from beta quantiles; as mlthresh._intervals computes it.

function logGamma(x) {
  // Stirling's series, exact to the last digits from 10 up; smaller x are moved there.
  let shift = 0;
  for (; x < 10; x += 1) shift += Math.log(x);
  const z = 1 / (x * x);
  const series = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z / 1188)))) / x;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - shift;
}

// The continued fraction of the incomplete beta function, by Lentz's method.
function betaFraction(x, a, b) {
  const tiny = 1e-300;
  const safe = (v) => (Math.abs(v) < tiny ? tiny : v);
  let c = 1;
  let d = 1 / safe(1 - ((a + b) * x) / (a + 1));
  let h = d;
  for (let m = 1; m < 20000; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / safe(1 + even * d);
    c = safe(1 + even / c);
    h *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / safe(1 + odd * d);
    c = safe(1 + odd / c);
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return h;
}

// The x at which the beta distribution's function reaches p: Newton's steps, kept in a bracket.
function betaQuantile(p, a, b) {
  const logBeta = logGamma(a) + logGamma(b) - logGamma(a + b);
  let [low, high, x] = [0, 1, a / (a + b)];
  for (let i = 0; i < 200; i += 1) {
    const power = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - logBeta);
    const below =
      x < (a + 1) / (a + b + 2)
        ? (power * betaFraction(x, a, b)) / a
        : 1 - (power * betaFraction(1 - x, b, a)) / b;
    if (below < p) low = x;
    else high = x;
    let next = x - ((below - p) * x * (1 - x)) / power;
    if (!(next > low && next < high)) next = (low + high) / 2;
    if (Math.abs(next - x) <= 1e-13 * next) return next;
    x = next;
  }
  return x;
}

const remembered = new Map();

// [lower, upper] for k successes in n trials; NaN without trials.
function clopperPearson(k, n, confidence) {
  if (!(n > 0)) return [NaN, NaN];
  const key = `${k}/${n}/${confidence}`;
  if (!remembered.has(key)) {
    const tail = (1 - confidence) / 2;
    if (remembered.size > 200000) remembered.clear();
    remembered.set(key, [
      k > 0 ? betaQuantile(tail, k, n - k + 1) : 0,
      k < n ? betaQuantile(1 - tail, k + 1, n - k) : 1,
    ]);
  }
  return remembered.get(key);
}
