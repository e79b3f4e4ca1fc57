"use strict";
// Draws the figures of the page; their data lie beside them as JSON.
(function () {
  const PRINT_WIDTHS = { whole: 660, column: 320 }; // fit A4 and letter, whatever the window was
  const PRINT_HEIGHT = 0.85; // of that on a screen
  const isTouch = window.matchMedia("(pointer: coarse)").matches;
  const containers = Array.from(document.querySelectorAll(".plot"));

  function draw(container) {
    const figure = JSON.parse(document.getElementById(container.dataset.figure).textContent);
    figure.layout.dragmode = isTouch ? false : "zoom"; // a finger scrolls the page
    container.dataset.height = figure.layout.height;
    figure.layout.font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
    return Plotly.newPlot(container, figure.data, figure.layout, { displayModeBar: false, responsive: true });
  }

  function resizeForPaper() {
    for (const container of containers) {
      const width = PRINT_WIDTHS[container.closest(".columns") ? "column" : "whole"];
      Plotly.relayout(container, { width: width, height: PRINT_HEIGHT * container.dataset.height });
    }
  }

  function resizeForScreen() {
    for (const container of containers) {
      Plotly.relayout(container, { width: null, height: Number(container.dataset.height), autosize: true });
    }
  }

  let unfolded = [];
  window.addEventListener("beforeprint", function () {
    unfolded = Array.from(document.querySelectorAll("details:not([open])"));
    unfolded.forEach((details) => { details.open = true; });
    resizeForPaper();
  });
  window.addEventListener("afterprint", function () {
    unfolded.forEach((details) => { details.open = false; });
    resizeForScreen();
  });

  Promise.all(containers.map(draw)).then(function () {
    document.documentElement.dataset.drawn = String(containers.length);
  });
})();
