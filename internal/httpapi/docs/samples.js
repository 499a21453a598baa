"use strict";
// Shows the code to paste of each model, which the contract has as x-codeSamples.
// Texts are put into the page as texts, never as markup.
(async () => {
  const part = (id) => document.getElementById(id);
  const contract = await (await fetch("/openapi.json")).json();
  const models = Object.entries(contract.paths)
    .map(([path, item]) => [path.split("/")[2], item.post && item.post["x-codeSamples"]])
    .filter(([, samples]) => samples);
  if (models.length === 0) return;
  let language = 0;

  function show() {
    const samples = models[part("samples-model").selectedIndex][1];
    part("samples-code").firstChild.textContent = samples[language].source;
    part("samples-tabs").replaceChildren(...samples.map((sample, i) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.role = "tab";
      tab.textContent = sample.label;
      tab.ariaSelected = String(i === language);
      tab.addEventListener("click", () => {
        language = i;
        show();
        part("samples-tabs").children[i].focus();
      });
      return tab;
    }));
  }

  part("samples-model").append(...models.map(([name]) => new Option(name)));
  part("samples-model").addEventListener("change", show);
  part("samples-copy").addEventListener("click", () => navigator.clipboard.writeText(part("samples-code").textContent));
  show();
  part("samples").hidden = false;
})();
