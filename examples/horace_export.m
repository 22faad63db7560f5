function horace_export(source, folder)
% Cut a Horace file along h, k and energy transfer, and save the image for exp2sim.
%
%   horace_export('measured.sqw', 'horace')    % horace/volume.d3d and horace/slice.d2d
%   $ exp2sim info horace/volume.d3d
%   $ exp2sim deconvolve horace/volume.d3d result.nxs --incident-energy 70
%
% The images have no pixels and stay small. They do not tell the incident energy: give it with
% --incident-energy, or as incident_energy in a recipe of `exp2sim data build` (docs/data.md).

if ~exist(folder, 'dir'), mkdir(folder); end
proj = line_proj([1 0 0], [0 1 0], 'type', 'rrr');      % Horace 3: proj = projaxes([1 0 0], [0 1 0], 'type', 'rrr')

% h, k, energy: low, width, high. The range of l is integrated over.
volume = cut_sqw(source, proj, [-1 0.05 1], [-1 0.05 1], [-5 5], [5 1 45], '-nopix');
save(volume, fullfile(folder, 'volume.d3d'));

% h and energy, integrated over a range of k.
slice = cut_sqw(source, proj, [-1 0.05 1], [-0.1 0.1], [-5 5], [5 1 45], '-nopix');
save(slice, fullfile(folder, 'slice.d2d'));
end
