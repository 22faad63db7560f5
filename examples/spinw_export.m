function spinw_export(folder, count)
% Write spectra of SpinW for `exp2sim data build`: one file for each set of parameters.
%
%   spinw_export('spinw', 200)     % spinw/square-0001.mat, spinw/square-0002.mat, ...
%
% A file holds
%   spec         result of sw_egrid on a grid of points in h and k; its sums are read as intensities per meV
%   parameters   numbers by which `exp2sim data build` sorts the files into classes and splits
%   class        the class, in words (leave it out to sort by ranges of the parameters)
%
% The axes of the recipe that fit (docs/data.md):
%
%   [axes.h]                       [axes.k]                       [axes.energy]
%   width = 0.05                   width = 0.05                   width = 0.5
%   range = [-1.025, 1.025]        range = [-1.025, 1.025]        range = [0.0, 40.0]
%   [labels]                       [[integrated]]
%   source = "spinw"               files = ["spinw"]

if ~exist(folder, 'dir'), mkdir(folder); end
rng(1);                                                 % the same parameters each time

% Replace the model by your own: a square lattice of spins 5/2, antiparallel to its neighbours.
model = spinw;
model.genlattice('lat_const', [4 4 10], 'angled', [90 90 90]);
model.addatom('label', 'MMn2', 'r', [0; 0; 0], 'S', 5/2);
model.gencoupling('maxDistance', 6);
model.addmatrix('label', 'J1', 'value', 1);
model.addmatrix('label', 'J2', 'value', 0);
model.addcoupling('mat', 'J1', 'bond', 1);
model.addcoupling('mat', 'J2', 'bond', 2);
model.genmagstr('mode', 'helical', 'k', [1/2 1/2 0], 'n', [1 0 0], 'S', [0; 0; 1]);

points = sw_qgrid('u', [1 0 0], 'v', [0 1 0], 'ubin', [-1 0.05 1], 'vbin', [-1 0.05 1]);

for i = 1:count
    parameters = struct('J1', 1 + rand, 'J2', 0.6 * rand - 0.3);
    class = 'ferromagnetic J2';
    if parameters.J2 > 0, class = 'frustrated'; end
    model.addmatrix('label', 'J1', 'value', parameters.J1);
    model.addmatrix('label', 'J2', 'value', parameters.J2);
    spec = model.spinwave(points, 'formfact', true);
    spec = sw_egrid(spec, 'Evect', 0:0.5:40);           % sums the twins by their volumes
    spec = rmfield(spec, 'obj');                        % an object that only MATLAB reads
    save(fullfile(folder, sprintf('square-%04d.mat', i)), 'spec', 'parameters', 'class', '-v7');
end
end
