// The style and the script of the status page.

export const STYLE: string = `
:root{--back:#fff;--text:#1c2024;--soft:#5c636b;--rule:#d5d9dd;--good:#1d7f4f;--bad:#c02626;--panel:#f5f6f8}
@media (prefers-color-scheme:dark){:root{--back:#14171a;--text:#e4e7ea;--soft:#a0a8b0;--rule:#363c43;--good:#55c28c;--bad:#ff7b72;--panel:#1d2125}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0}h1,p,li,td{overflow-wrap:anywhere}h2{font-size:1.2rem;margin:1.5rem 0 .5rem}
.state{font-size:1.25rem;border-left:.4rem solid;padding-left:.75rem}.good{color:var(--good)}.bad{color:var(--bad)}.soft{color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.5rem;margin:0}
dl div{background:var(--panel);border-radius:.5rem;padding:.5rem .75rem;display:flex;flex-direction:column-reverse;justify-content:flex-end}
dt{color:var(--soft);font-size:.875rem}dd{margin:0;font-size:1.25rem;font-weight:600}
.wide{overflow-x:auto}table{border-collapse:collapse;min-width:36rem}
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--rule);font-weight:normal}thead th{color:var(--soft)}
ol{padding-left:1.25rem}li{margin-bottom:.5rem}
button{font:inherit;color:inherit;background:var(--panel);border:1px solid var(--rule);border-radius:.25rem;padding:.25rem .75rem;cursor:pointer}
:focus-visible{outline:3px solid var(--good);outline-offset:2px}
`;

/** Replaces what has changed, so that neither the place of the reader nor the focus is lost. */
export const SCRIPT: string = `
{
  const status = document.getElementById("status");
  const pause = document.getElementById("pause");
  const updates = document.getElementById("updates");
  const two = (n) => String(n).padStart(2, "0");
  const localize = () => {
    for (const time of status.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      time.textContent = at.getFullYear() + "-" + two(at.getMonth() + 1) + "-" + two(at.getDate()) +
        " " + two(at.getHours()) + ":" + two(at.getMinutes()) + ":" + two(at.getSeconds());
    }
  };
  const say = (text) => { if (updates.textContent !== text) updates.textContent = text; };
  let isPaused = false;
  const update = async () => {
    if (isPaused || document.hidden) return;
    try {
      const response = await fetch(location.href, { signal: AbortSignal.timeout(10000) });
      if (!response.ok) throw new Error("status " + response.status);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (isPaused) return;
      status.innerHTML = page.getElementById("status").innerHTML;
      document.title = page.title;
      localize();
      say("");
    } catch (error) {
      say("Cannot update: " + error.message + ". The page shows what was before.");
    }
  };
  pause.hidden = false;
  pause.onclick = () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on with updates" : "Pause updates";
    say(isPaused ? "Updates are paused." : "");
    update();
  };
  localize();
  setInterval(update, status.dataset.seconds * 1000);
}
`;
